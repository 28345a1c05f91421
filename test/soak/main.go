// Command soak sends orders, bookings and registrations at a steady rate to the
// services as containers on Apache Kafka and Postgres, two of each service,
// while everything fails now and then that can: services are killed, Postgres
// is killed or restarted, Kafka and the mail server are away. Some time after
// the last fault every flow must have ended, no effect may be there twice and
// none be missing. It prints a table of what it saw, and the seed that its
// choices came from.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// plan is what a run does.
type plan struct {
	flows int
	rate  int           // flows a second
	every time.Duration // a service is killed so often; longer outages come less often
	grace time.Duration // after the last fault, for everything to end
	limit time.Duration // of the bookings that may expire at any step
	seed  uint64
	keep  bool
}

func main() {
	var p plan
	flag.IntVar(&p.flows, "flows", 20_000, "orders, bookings and registrations to send")
	flag.IntVar(&p.rate, "rate", 40, "of them a second")
	flag.DurationVar(&p.every, "every", 5*time.Second, "a random service is killed so often; Postgres, Kafka and mail fail less often")
	flag.DurationVar(&p.grace, "grace", 10*time.Minute, "after the last fault, for every flow to end")
	flag.DurationVar(&p.limit, "limit", 500*time.Millisecond, "of a share of bookings, so that they expire at any step")
	flag.Uint64Var(&p.seed, "seed", seed(), "what the choices come from; TROUPE_SEED sets it, too")
	flag.BoolVar(&p.keep, "keep", false, "leave the containers as they are when something did not hold")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, p)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// seed is that of the environment, else a new one.
func seed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("TROUPE_SEED"), 10, 64); err == nil {
		return n
	}
	var b [4]byte
	rand.Read(b[:]) // never fails
	return uint64(binary.BigEndian.Uint32(b[:])) + 1
}

func run(ctx context.Context, p plan) (err error) {
	fmt.Printf("soak: %d flows at %d/s, a service killed every %v, seed %d (run again with -seed %[4]d)\n", p.flows, p.rate, p.every, p.seed)
	began := time.Now()
	s, err := newStage(p)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			fmt.Fprintln(os.Stderr, s.compose.Logs(ctx, 20))
		}
		if err == nil || !p.keep {
			err = errors.Join(err, s.close(ctx))
		}
	}()
	if err := s.up(ctx); err != nil {
		return err
	}
	fmt.Printf("%5.1f s  every service is healthy\n", time.Since(began).Seconds())
	r, err := newRehearsal(s, p)
	if err != nil {
		return err
	}
	defer r.log.Close()
	return r.play(ctx)
}
