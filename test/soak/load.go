package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/troupedev/troupe/test/rig"
)

// flow is one that an API has begun.
type flow struct {
	rig.Sent
	name  string
	sent  time.Time
	check func([]*rig.Event) error // nil once it has ended
	loose bool                     // how many mails it sends is left to chance
}

// wish is what one customer is to do.
type wish struct {
	kind   rig.Kind
	leaves string        // the query of a user's deletion; "-" where the user stays
	after  time.Duration // when the user leaves
}

// stays says that a user is not deleted.
const stays = "-"

// wishes makes up what customers do.
type wishes struct {
	random           *rand.Rand
	orders, bookings []rig.Kind
}

func newWishes(seed uint64) *wishes {
	return &wishes{
		random: rand.New(rand.NewPCG(seed, 0)),
		orders: append(rig.Ending(), rig.BigOrder()), bookings: rig.BookingKinds(),
	}
}

// next is the wish of the customer with an address of their own.
func (w *wishes) next(email string) wish {
	switch chance := w.random.IntN(100); {
	case chance < 50:
		return wish{kind: w.orders[w.random.IntN(len(w.orders))].For(email), leaves: stays}
	case chance < 80:
		return wish{kind: w.booking().For(email), leaves: stays}
	}
	wish := wish{kind: rig.Registration().For(email), leaves: stays}
	switch w.random.IntN(3) {
	case 0:
		wish.leaves = ""
	case 1:
		wish.leaves = "?erase=true"
	}
	if w.random.IntN(2) == 0 {
		wish.after = between(w.random, 0, 5*time.Second)
	}
	return wish
}

func (w *wishes) booking() rig.Kind {
	kind := w.bookings[w.random.IntN(len(w.bookings))]
	if kind.Booking.Flight != rig.FlightFull {
		kind.Booking.Flight = fmt.Sprintf("TR%d", 100+w.random.IntN(900))
		if w.random.IntN(4) == 0 {
			kind.Name, kind.Expires = "flight, may expire", true
			kind.Booking.Card = rig.CardGood
		}
	}
	return kind
}

// send sends the flows, each in its own time: one that an API cannot take does
// not hold up those behind it.
func (r *rehearsal) send(ctx context.Context) error {
	began := time.Now()
	wishes := newWishes(r.plan.seed)
	g, ctx := errgroup.WithContext(ctx)
	for n := range r.plan.flows {
		// By the clock: a busy machine makes them bunch, and not fewer.
		due := began.Add(time.Duration(n) * time.Second / time.Duration(r.plan.rate))
		if !wait(ctx, time.Until(due)) {
			return g.Wait()
		}
		wish := wishes.next(fmt.Sprintf("customer-%d@example.com", n))
		g.Go(func() error { return r.fulfil(ctx, n, wish) })
	}
	return g.Wait()
}

// fulfil sends what one customer wishes.
func (r *rehearsal) fulfil(ctx context.Context, n int, w wish) error {
	key, began := fmt.Sprintf("soak-%d-%d", r.plan.seed, n), time.Now()
	urls := r.urls(&w.kind)
	sent, err := rig.Send(ctx, "POST", key, w.kind.Body(), urls...)
	if err != nil {
		return fmt.Errorf("%s %d: %w", w.kind.Name, n, err)
	}
	r.sent.Add(1)
	if w.leaves == stays {
		r.add(flow{sent, w.kind.Name, began, w.kind.Check, w.kind.Expires})
		return nil
	}
	r.add(flow{sent, "registration, left", began, rig.CheckLeft, true})
	if !wait(ctx, w.after) {
		return context.Cause(ctx)
	}
	name, check := "deletion", rig.CheckDeleted
	if w.leaves != "" {
		name, check = "closure", rig.CheckClosed
	}
	urls = slices.Clone(urls)
	for i := range urls {
		urls[i] += "/" + sent.ID + w.leaves
	}
	began = time.Now()
	if sent, err = rig.Send(ctx, "DELETE", key+"-leaves", nil, urls...); err != nil {
		return fmt.Errorf("%s %d: %w", name, n, err)
	}
	r.add(flow{sent, name, began, check, false})
	return nil
}

// urls are where a kind may be sent to: both instances of its service, but of
// bookings the one that gives it its time.
func (r *rehearsal) urls(k *rig.Kind) []string {
	c, twins := r.stage.compose, r.stage.twins
	hosts := map[string][]string{
		"/orders": {c.API, twins["orders"]}, "/users": {c.Users, twins["users"]}, "/bookings": {c.Bookings},
	}[k.Path()]
	if k.Expires {
		hosts = []string{twins["bookings"]}
	}
	var urls []string
	for _, host := range hosts {
		urls = append(urls, "http://"+host+k.Path())
	}
	return urls
}

func (r *rehearsal) add(f flow) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flows = append(r.flows, f)
}
