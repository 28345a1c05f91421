// Package account is what services share that hold data of users: one way to
// take an address and to know it again, and one to answer the closure of an
// account.
//
// What follows from orders and bookings that are under way goes on after a
// closure, and names whom it concerns. A service that keeps something of what it
// hears must not write that back. So it refers to people by [Person], in a table
//
//	create table people (
//	    address text primary key, -- its hash
//	    id      text not null     -- random; empty: the account was closed
//	);
//
// and a closure cuts the reference ([Forget]): what is written later, or is
// being written at this moment, leads to nobody.
package account

import (
	"context"

	"github.com/troupedev/troupe/events/users"
	"github.com/troupedev/troupe/platform/choreo"
)

// Erases declares that a service answers the closure of an account: erase
// removes what it keeps of the user, or makes it anonymous, and returns of how
// many records.
func Erases(service string, erase func(context.Context, users.AccountClosureRequested) (records int64, err error)) choreo.Reaction {
	return choreo.On(func(ctx context.Context, q users.AccountClosureRequested) (choreo.Events, error) {
		records, err := erase(ctx, q)
		if err != nil {
			return nil, err
		}
		return choreo.Emit(users.AccountDataErased{UserID: q.UserID, Service: service, Records: int32(records)}), nil
	}, choreo.Emits(users.AccountDataErased{}))
}
