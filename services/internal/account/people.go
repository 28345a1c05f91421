package account

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"

	"github.com/troupedev/troupe/platform/store"
)

// Person is by which id the service refers to whom an address belongs to. It is
// empty for nobody, and for somebody whose account was closed: for good, since
// what is heard later does not tell whether it began before or after.
//
// Only the first transaction about an address keeps others about it waiting.
func Person(ctx context.Context, address string) (id string, err error) {
	key := Key(address)
	if key == "" {
		return "", nil
	}
	err = store.Tx(ctx).QueryRowContext(ctx, `select id from people where address = $1`, key).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, err
	}
	return add(ctx, key, rand.Text())
}

// Forget cuts what leads from an address to the id that the service refers to
// its owner by. Then it runs an update, with the id as $1, that takes the id out
// of what the service keeps, and returns of how many records.
func Forget(ctx context.Context, address, update string) (records int64, err error) {
	key := Key(address)
	if key == "" {
		return 0, nil
	}
	id, err := add(ctx, key, "")
	if err != nil || id == "" {
		return 0, err
	}
	if _, err := store.Exec(ctx, `update people set id = '' where address = $1`, key); err != nil {
		return 0, err
	}
	return store.Exec(ctx, update, id)
}

// add adds an address, and locks it where it is there: id is then the one it has.
func add(ctx context.Context, key, id string) (has string, err error) {
	err = store.Tx(ctx).QueryRowContext(ctx, `
		insert into people (address, id) values ($1, $2)
		on conflict (address) do update set address = excluded.address returning id`, key, id).Scan(&has)
	return has, err
}
