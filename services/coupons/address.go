package coupons

import (
	"context"

	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/services/internal/account"
)

// address is a row of the table addresses. Events of one user come in order,
// those of two users who had the same address one after the other, and orders,
// which name the address alone, in any order with them. The row decides whom an
// event is about, and locks out whoever else is at the same address.
type address struct {
	key   string
	user  string // who registered with it last
	since int64  // when
	gone  bool
}

// lockAddress returns the row of an address, a new one where there is none, and
// keeps it from others until the transaction ends.
func lockAddress(ctx context.Context, email string) (*address, error) {
	a := &address{key: account.Key(email)}
	err := store.Tx(ctx).QueryRowContext(ctx,
		`
		insert into addresses (address, user_id, since, gone) values ($1, '', 0, false)
		on conflict (address) do update set address = excluded.address returning user_id, since, gone`, a.key).
		Scan(&a.user, &a.since, &a.gone)
	return a, err
}

// save keeps what [address.register] or [address.leave] changed.
func (a *address) save(ctx context.Context) error {
	_, err := store.Exec(ctx, `update addresses set user_id = $1, since = $2, gone = $3 where address = $4`, a.user, a.since, a.gone, a.key)
	return err
}

// register notes that the user registered with the address. It reports false of
// a user who is known to be gone: a registration can be handled after the
// deletion where it was a dead letter in between.
func (a *address) register(user string, at int64) bool {
	if at < a.since || a.user == user && a.gone {
		return false
	}
	a.user, a.since, a.gone = user, at, false
	return true
}

// leave notes that the user is gone. It reports false where another user has
// the address by now.
func (a *address) leave(user string) bool {
	if a.user != user && a.user != "" && !a.gone {
		return false
	}
	a.user, a.gone = user, true
	return true
}
