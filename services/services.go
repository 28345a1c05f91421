// Package services lists the services that ship with Troupe. Each has a folder
// of its own, with its declaration, its handlers and their tests.
//
// A new service is a new folder and one line in [All].
package services

import (
	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/services/bookings"
	"github.com/troupedev/troupe/services/coupons"
	"github.com/troupedev/troupe/services/inventory"
	"github.com/troupedev/troupe/services/notifications"
	"github.com/troupedev/troupe/services/orders"
	"github.com/troupedev/troupe/services/payments"
	"github.com/troupedev/troupe/services/seats"
	"github.com/troupedev/troupe/services/shipping"
	"github.com/troupedev/troupe/services/tickets"
	"github.com/troupedev/troupe/services/users"
)

// All is the topology of every service.
func All() choreo.Topology {
	return choreo.Topology{
		orders.Service(),
		payments.Service(payments.TestCards{}),
		inventory.Service(),
		shipping.Service(),
		notifications.Service(),
		users.Service(),
		coupons.Service(),
		bookings.Service(),
		seats.Service(),
		tickets.Service(),
	}
}
