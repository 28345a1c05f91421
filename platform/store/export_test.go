package store

import (
	"context"

	"github.com/troupedev/troupe/platform/choreo"
)

// GathererOf is what Handle gives to the reactions of ctx.
func GathererOf(ctx context.Context) choreo.Gatherer { return gatherer{unitOf(ctx)} }

// Purge deletes a batch of what is old.
func (db *DB) Purge(ctx context.Context) (rows int, err error) { return db.purge(ctx) }

// PurgeBatch is how many rows of a table that are at most.
const PurgeBatch = purgeBatch

// InsertOne is the statement that puts one event into the outbox on Postgres.
const InsertOne = insertOne
