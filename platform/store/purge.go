package store

import (
	"context"
	"fmt"
)

// purgeBatch is how many rows of a table one purge deletes: few enough that no
// handler waits long for the only writer of SQLite.
const purgeBatch = 1000

// forgotten are the rows that are deleted once they are older than
// Config.KeepInbox. A gathering that is not complete is kept however old it is;
// without its request it is what came after the whole was forgotten.
var forgotten = []struct{ table, which string }{
	{"troupe_inbox", "true"},
	{"troupe_answers", "true"},
	{"troupe_gathered", "(complete OR request IS NULL)"},
}

// purge deletes a batch of what is old, and returns how many rows it was: where
// there were any, there may be more. Several processes may do so at once.
func (db *DB) purge(ctx context.Context) (rows int, err error) {
	query := `DELETE FROM %[1]s WHERE rowid IN (SELECT rowid FROM %[1]s WHERE at < $1 AND %[2]s ORDER BY at LIMIT $2)`
	if db.postgres != nil { // by address: a join would be planned anew as the table grows
		query = `DELETE FROM %[1]s WHERE ctid = ANY (ARRAY (SELECT ctid FROM %[1]s WHERE at < $1 AND %[2]s ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED))`
	}
	before := db.config.Now().Add(-db.config.KeepInbox).UnixMilli()
	for _, old := range forgotten {
		result, err := db.write.ExecContext(ctx, fmt.Sprintf(query, old.table, old.which), before, purgeBatch)
		if err != nil {
			return rows, fmt.Errorf("store: purging %s: %w", old.table, err)
		}
		n, err := result.RowsAffected()
		if err != nil {
			return rows, err
		}
		rows += int(n)
	}
	return rows, nil
}
