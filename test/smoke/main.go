// Command smoke does what the README promises of containers: `make up`; orders,
// a registration and a flight over HTTP, mail in the mail server's pages; roles
// of the database that see nothing of each other; `make down`. It uses ports and
// a name of its own, and leaves nothing behind.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/troupedev/troupe/test/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "smoke:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("not within 5 minutes"))
	defer cancel()
	c, err := rig.NewCompose("troupe-smoke")
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
	fmt.Printf("make up: every service is healthy after %v\n", time.Since(began).Round(time.Second))
	for _, check := range []func(context.Context, *rig.Compose) error{roles, order, register, book} {
		if err := check(ctx, c); err != nil {
			return err
		}
	}
	_, err = c.Run(ctx, "make", "down")
	return err
}

// order places one order of each kind that ends, and waits for its events and mail.
func order(ctx context.Context, c *rig.Compose) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("not within a minute"))
	defer cancel()
	root, err := rig.Root()
	if err != nil {
		return err
	}
	schemas, err := rig.LoadSchemas(filepath.Join(root, "schemas"))
	if err != nil {
		return err
	}
	log, err := rig.Follow(c.Kafka, schemas)
	if err != nil {
		return err
	}
	defer log.Close()
	for _, k := range rig.Ending() {
		began := time.Now()
		placed, err := rig.Place(ctx, c.API, "", k.Order)
		if err != nil {
			return err
		}
		err = rig.Await(ctx, func(ctx context.Context) error {
			mails, err := rig.Inbox{Addr: c.Mail}.Mails(ctx)
			if err != nil {
				return err
			}
			flow := log.Flow(placed.FlowID)
			return errors.Join(k.Check(flow), rig.CheckMail(flow, rig.ByCause(mails), true), ended(ctx, c, placed.OrderID))
		})
		if err != nil {
			return fmt.Errorf("order %s (%s): %w", placed.OrderID, k.Name, err)
		}
		fmt.Printf("order %s: its events and mail are there after %v\n", k.Name, time.Since(began).Round(time.Millisecond))
	}
	return nil
}

// ended demands that the order is shown as ended, with its history.
func ended(ctx context.Context, c *rig.Compose, id string) error {
	var order struct {
		Status  string
		History []struct{ Event string }
	}
	if err := rig.Call(ctx, "GET", "http://"+c.API+"/orders/"+id, nil, &order); err != nil {
		return err
	}
	if order.Status == "placed" || len(order.History) < 2 {
		return fmt.Errorf("GET /orders/%s: %+v", id, order)
	}
	return nil
}
