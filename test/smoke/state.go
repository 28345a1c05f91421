package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupedev/troupe/test/rig"
)

// roles demands that each service's role sees its own schema, and no other's.
func roles(ctx context.Context, c *rig.Compose) error {
	const schemas = `SELECT nspname FROM pg_namespace JOIN pg_roles ON nspowner = pg_roles.oid WHERE nspname = rolname`
	out, err := c.SQL(ctx, "troupe", schemas)
	if err != nil {
		return err
	}
	services := strings.Fields(out)
	if len(services) < 2 {
		return fmt.Errorf("the database has the schemas %v", services)
	}
	for _, role := range services {
		others := slices.DeleteFunc(slices.Clone(services), func(s string) bool { return s == role })
		var attempts []string
		for _, other := range others {
			attempts = append(attempts, "SELECT 'read' FROM "+other+".troupe_outbox", "CREATE TABLE "+other+".mine (id int)")
		}
		attempts = append(attempts, "CREATE TABLE public.mine (id int)", "CREATE SCHEMA mine", "SELECT count(*) >= 0 FROM troupe_outbox")
		out, _ := c.SQL(ctx, role, attempts...) // its status is that of the last statement
		if n := strings.Count(out, "permission denied"); n != len(attempts)-1 || !strings.HasSuffix(strings.TrimSpace(out), "\nt") {
			return fmt.Errorf("role %s: %d of %d statements were refused, and its own was to succeed:\n%s", role, n, len(attempts)-1, out)
		}
	}
	fmt.Printf("%d roles see nothing of each other\n", len(services))
	return nil
}

// register demands that who registers is welcomed by mail, and shown.
func register(ctx context.Context, c *rig.Compose) error {
	began := time.Now()
	const email = "grace@example.com"
	var user struct{ UserID, FlowID string }
	err := call(ctx, "http://"+c.Users+"/users", map[string]string{"name": "Grace", "email": email}, &user)
	if err == nil {
		err = await(ctx, func(ctx context.Context) error {
			var shown struct{ Name, Email string }
			if err := rig.Call(ctx, "GET", "http://"+c.Users+"/users/"+user.UserID, nil, &shown); err != nil {
				return err
			}
			if shown.Name != "Grace" || shown.Email != email {
				return fmt.Errorf("GET /users/%s: %+v", user.UserID, shown)
			}
			return mailed(ctx, c, email, 2) // the welcome, and its coupon
		})
	}
	if err != nil {
		return fmt.Errorf("registration: %w", err)
	}
	fmt.Printf("registration: the welcome is there after %v\n", time.Since(began).Round(time.Millisecond))
	return nil
}

// book demands that a flight is booked to its end.
func book(ctx context.Context, c *rig.Compose) error {
	began := time.Now()
	const email = "amelia@example.com"
	var booking struct{ BookingID, FlowID string }
	err := call(ctx, "http://"+c.Bookings+"/bookings",
		map[string]string{"flight": "TR100", "passenger": "Amelia", "email": email, "card": rig.CardGood}, &booking)
	if err == nil {
		err = await(ctx, func(ctx context.Context) error {
			var shown struct{ Status, Seat, BookingCode string }
			if err := rig.Call(ctx, "GET", "http://"+c.Bookings+"/bookings/"+booking.BookingID, nil, &shown); err != nil {
				return err
			}
			if shown.Status != "completed" || shown.Seat == "" || shown.BookingCode == "" {
				return fmt.Errorf("GET /bookings/%s: %+v", booking.BookingID, shown)
			}
			return mailed(ctx, c, email, 1)
		})
	}
	if err != nil {
		return fmt.Errorf("booking: %w", err)
	}
	fmt.Printf("booking: ticket and mail are there after %v\n", time.Since(began).Round(time.Millisecond))
	return nil
}

// mailed demands so many mails to an address.
func mailed(ctx context.Context, c *rig.Compose, to string, want int) error {
	mails, err := rig.Inbox{Addr: c.Mail}.Mails(ctx)
	if err != nil {
		return err
	}
	var subjects []string
	for _, m := range mails {
		if m.To == to {
			subjects = append(subjects, m.Subject)
		}
	}
	if len(subjects) != want {
		return fmt.Errorf("%s got the mails %q, want %d", to, subjects, want)
	}
	return nil
}

func call(ctx context.Context, url string, body, into any) error {
	return await(ctx, func(ctx context.Context) error { return rig.Call(ctx, "POST", url, body, into) })
}

func await(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("not within a minute"))
	defer cancel()
	return rig.Await(ctx, check)
}
