package services

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Demo returns orders as customers send them to the API, one after the other,
// as path and JSON body; the same seed gives the same orders. The first is a
// plain one. Of the others most succeed; some are declined, out of stock, or
// paid with a card whose provider fails for a while, and some mail is refused
// before it is taken.
func Demo(seed uint64) func() (path string, body []byte) {
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(from []string) string { return from[random.IntN(len(from))] }
	first := true
	return func() (string, []byte) {
		name, domain, sku, card, channel, quantity := "Ada", "example.com", "mug", "4242424242424242", "storefront", 2
		if !first {
			name, sku, quantity = pick(demoNames), pick([]string{"mug", "lamp", "desk"}), 1+random.IntN(4)
			switch chance := random.IntN(100); {
			case chance < 6:
				card = "4000000000000002" // declined
			case chance < 9:
				card = "4000000000000119" // fails twice
			case chance < 13:
				sku = "unicorn" // out of stock
			case chance < 16:
				domain = "bounce.example" // mail is refused twice
			}
			if random.IntN(3) == 0 {
				channel = "wholesale"
				quantity *= 25
			}
		}
		first = false
		return "/orders", fmt.Appendf(nil,
			`{"channel":%q,"customer":%q,"email":"%s@%s","card":%q,"items":[{"sku":%q,"quantity":%d}]}`,
			channel, name, strings.ToLower(name), domain, card, sku, quantity)
	}
}

var demoNames = []string{"Ada", "Grace", "Edsger", "Barbara", "Alan", "Leslie", "Radia", "Donald", "Margaret", "Tony"}
