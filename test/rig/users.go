package rig

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// User is the body of POST /users.
type User struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// holders are the services that hold data of users.
var holders = []string{"bookings", "coupons", "notifications", "orders", "payments", "tickets"}

var welcome = []string{
	"notifications.NotificationSent < users.UserRegistered",
	"coupons.CouponGranted < users.UserRegistered",
	"notifications.NotificationSent < coupons.CouponGranted",
}

// Registration is of a user who stays.
func Registration() Kind {
	return Kind{Name: "registration", User: User{Name: "Grace", Email: "grace@example.com"}, Tree: welcome}
}

// CheckLeft demands of the events of a registration that nothing was done twice
// to welcome a user who left at once: how far that went is left to chance.
func CheckLeft(flow []*Event) error { return CheckTree(flow, nil, welcome) }

// CheckDeleted demands what the deletion of a user leads to.
func CheckDeleted(flow []*Event) error {
	return CheckTree(flow, []string{
		"notifications.NotificationSent < users.UserDeleted",
		"coupons.CouponsErased < users.UserDeleted",
	}, nil)
}

// CheckClosed demands that the account was closed once every service that holds
// data of users had erased it, each once.
func CheckClosed(flow []*Event) error {
	must := []string{"notifications.NotificationSent < users.AccountClosed", closed(flow)}
	for range holders {
		must = append(must, "users.AccountDataErased < users.AccountClosureRequested")
	}
	if err := CheckTree(flow, must, nil); err != nil {
		return err
	}
	erased := map[string]bool{}
	for _, e := range flow {
		if e.Type == "users.AccountDataErased" {
			erased[strings.TrimPrefix(e.Headers["ce_source"], "/services/")] = true
		}
	}
	if got := slices.Sorted(maps.Keys(erased)); !slices.Equal(got, holders) {
		return fmt.Errorf("the services %v have erased data, want %v", got, holders)
	}
	return nil
}

// closed is how an account's closing hangs in the tree: below what was heard
// last, the last answer as a rule, or the request, which may come behind it.
func closed(flow []*Event) string {
	for _, edge := range edges(flow) {
		if edge == "users.AccountClosed < users.AccountClosureRequested" {
			return edge
		}
	}
	return "users.AccountClosed < users.AccountDataErased"
}
