// Command soak sends orders at a steady rate to the services as containers on
// Apache Kafka, while one of them, chosen at random, is killed with SIGKILL and
// started again every few seconds. Some time after the last kill every order
// must have ended, in order per key, with no mail missing. It prints a table of
// what it saw, and the seed that its choices came from.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/troupedev/troupe/test/rig"
)

// plan is what a run does.
type plan struct {
	orders int
	rate   int           // orders a second
	every  time.Duration // a service is killed so often
	grace  time.Duration // after the last kill, for everything to end
	seed   uint64
}

func main() {
	var p plan
	flag.IntVar(&p.orders, "orders", 5000, "orders to place")
	flag.IntVar(&p.rate, "rate", 100, "orders a second")
	flag.DurationVar(&p.every, "every", 10*time.Second, "a random service is killed so often")
	flag.DurationVar(&p.grace, "grace", time.Minute, "after the last kill, for every order to end")
	flag.Uint64Var(&p.seed, "seed", 0, "what the choices come from; 0 takes a new one")
	flag.Parse()
	if p.seed == 0 {
		p.seed = newSeed()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, p)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func newSeed() uint64 {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return uint64(binary.BigEndian.Uint32(b[:])) + 1
}

func run(ctx context.Context, p plan) (err error) {
	fmt.Printf("soak: %d orders at %d/s, a service killed every %v, seed %d (run again with -seed %[4]d)\n", p.orders, p.rate, p.every, p.seed)
	c, err := rig.NewCompose("troupe-soak")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			fmt.Fprintln(os.Stderr, c.Logs(ctx, 20))
		}
		err = errors.Join(err, c.Close(ctx))
	}()
	began := time.Now()
	if _, err := c.Run(ctx, "make", "up"); err != nil {
		return err
	}
	fmt.Printf("%5.1f s  every service is healthy\n", time.Since(began).Seconds())
	r, err := newRehearsal(c, p)
	if err != nil {
		return err
	}
	defer r.log.Close()
	return r.play(ctx)
}

// print writes the table of what a run saw.
func (s *seen) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "  %s\t"+format+"\n", append([]any{name}, args...)...)
	}
	fmt.Fprintln(t)
	row("orders placed", "%d in %.1f s", s.orders, s.placing.Seconds())
	row("services killed", "%d: %v", len(s.kills), s.kills)
	row("orders that have ended", "%d, the last %.1f s after the last kill", s.ended, s.last.Seconds())
	row("flows begun", "%d", s.flows)
	row("mails", "%d wanted, %d missing, %d came more than once", s.mails.wanted, s.mails.missing, s.mails.repeated)
	row("events", "%d, written again by service: %v", s.events, s.repeated)
	row("order per key", "%s", s.keyOrder())
	row("dead letters", "%d", s.dead)
	row("from order to end", "p50 %v, p99 %v, longest %v", s.took(50), s.took(99), s.took(100))
	_ = t.Flush() // to a terminal or a pipe: nobody to tell
}
