package services

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Demo returns orders, bookings and registrations as customers send them to the
// API, one after the other, as path and JSON body; the same seed gives the same
// ones. The first is a plain order. Of the others most succeed; some are
// declined, out of stock, for a full flight, or paid with a card whose provider
// fails for a while, and some mail is refused before it is taken.
func Demo(seed uint64) func() (path string, body []byte) {
	d := demo{rand.New(rand.NewPCG(seed, 0))}
	next := d.first
	return func() (string, []byte) {
		path, body := next()
		next = d.any
		return path, body
	}
}

// demo makes up what customers do.
type demo struct{ random *rand.Rand }

func (d demo) first() (string, []byte) {
	return order("storefront", customer{"Ada", "ada@example.com", "4242424242424242"}, "mug", 2)
}

// any is one of what customers do, by how often they do it.
func (d demo) any() (string, []byte) {
	switch chance := d.random.IntN(100); {
	case chance < 25:
		return d.booking()
	case chance < 35:
		return d.registration()
	}
	return d.order()
}

func (d demo) order() (string, []byte) {
	channel, sku, quantity := "storefront", d.pick("mug", "lamp", "desk"), 1+d.random.IntN(4)
	if d.random.IntN(25) == 0 {
		sku = "unicorn" // out of stock
	}
	if d.random.IntN(3) == 0 {
		channel = "wholesale"
		quantity *= 25
	}
	return order(channel, d.customer(), sku, quantity)
}

func order(channel string, c customer, sku string, quantity int) (string, []byte) {
	return "/orders", fmt.Appendf(nil, `{"channel":%q,"customer":%q,"email":%q,"card":%q,"items":[{"sku":%q,"quantity":%d}]}`,
		channel, c.name, c.email, c.card, sku, quantity)
}

func (d demo) booking() (string, []byte) {
	flight := fmt.Sprintf("TR%d", 100+d.random.IntN(900))
	if d.random.IntN(12) == 0 {
		flight = "TR000" // full
	}
	c := d.customer()
	return "/bookings", fmt.Appendf(nil, `{"flight":%q,"passenger":%q,"email":%q,"card":%q,"seatPreference":%q}`,
		flight, c.name, c.email, c.card, d.pick("any", "window", "aisle"))
}

// registration is of somebody new: an address is of one user only.
func (d demo) registration() (string, []byte) {
	c := d.customer()
	return "/users", fmt.Appendf(nil, `{"name":%q,"email":"%d.%s"}`, c.name, d.random.IntN(1_000_000_000), c.email)
}

type customer struct{ name, email, card string }

func (d demo) customer() customer {
	name := d.pick("Ada", "Grace", "Edsger", "Barbara", "Alan", "Leslie", "Radia", "Donald", "Margaret", "Tony")
	domain, card := "example.com", "4242424242424242"
	switch chance := d.random.IntN(100); {
	case chance < 6:
		card = "4000000000000002" // declined
	case chance < 9:
		card = "4000000000000119" // fails twice
	case chance < 12:
		domain = "bounce.example" // mail is refused twice
	}
	return customer{name, strings.ToLower(name) + "@" + domain, card}
}

func (d demo) pick(from ...string) string { return from[d.random.IntN(len(from))] }
