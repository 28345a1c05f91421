package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
)

// gatherer keeps what a handler's [choreo.Gather] hears.
type gatherer struct{ unit *unit }

// Request implements [choreo.Gatherer].
func (g gatherer) Request(ctx context.Context, reaction, id string, value []byte, expected []string) (*choreo.Gathered, error) {
	if expected == nil { // not the same as an empty list, on which nobody has to answer
		return nil, choreo.Permanent(fmt.Errorf("store: reaction %s gathers the answers to %s, and nobody said who is to give some", reaction, id))
	}
	names, err := json.Marshal(expected)
	if err != nil {
		return nil, err
	}
	return g.keep(ctx, reaction, id, append([]byte{}, value...), string(names), "", nil)
}

// Answer implements [choreo.Gatherer].
func (g gatherer) Answer(ctx context.Context, reaction, id, service string, value []byte) (*choreo.Gathered, error) {
	return g.keep(ctx, reaction, id, nil, nil, service, append([]byte{}, value...)) // an empty answer is one too
}

// keep writes the row of the request first, whatever came: that locks it, so
// that of two answers at the same time the second sees the first. The request
// and each service's answer stay as they came first, until the gathering is
// complete: from then on only who answered is kept, and when, since events may hold
// what is personal.
func (g gatherer) keep(ctx context.Context, reaction, id string, request []byte, expected any, service string, answer []byte) (*choreo.Gathered, error) {
	tx, now := g.unit.transaction(), g.unit.db.config.Now().UnixMilli()
	var complete bool
	var names sql.NullString
	err := tx.QueryRowContext(ctx, `
		INSERT INTO troupe_gathered AS kept (reaction, id, request, expected, at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (reaction, id) DO UPDATE
		SET request = CASE WHEN kept.complete THEN NULL ELSE coalesce(kept.request, excluded.request) END, expected = coalesce(kept.expected, excluded.expected)
		RETURNING request, expected, complete`, reaction, id, request, expected, now).Scan(&request, &names, &complete)
	if err != nil {
		return nil, err
	}
	if complete {
		answer = []byte{}
	}
	if service != "" {
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO troupe_gathered_answers (reaction, id, service, answer, at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT DO NOTHING`, reaction, id, service, answer, now); err != nil {
			return nil, err
		}
	}
	if complete || !names.Valid {
		return nil, nil
	}
	return g.complete(ctx, tx, reaction, id, request, names.String)
}

// complete returns all answers once every expected service has given one.
func (g gatherer) complete(ctx context.Context, tx *sql.Tx, reaction, id string, request []byte, expected string) (*choreo.Gathered, error) {
	var missing []string
	if err := json.Unmarshal([]byte(expected), &missing); err != nil {
		return nil, err
	}
	type kept struct {
		service string
		value   []byte
	}
	answers, err := Collect(ctx, func(rows *sql.Rows) (a kept, err error) {
		err = rows.Scan(&a.service, &a.value)
		return a, err
	}, `SELECT service, answer FROM troupe_gathered_answers WHERE reaction = $1 AND id = $2 ORDER BY service`, reaction, id)
	if err != nil {
		return nil, err
	}
	all := &choreo.Gathered{Request: request}
	for _, a := range answers {
		all.Answers = append(all.Answers, a.value)
		missing = slices.DeleteFunc(missing, func(service string) bool { return service == a.service })
	}
	if len(missing) > 0 {
		return nil, nil
	}
	if _, err := tx.ExecContext(ctx, `UPDATE troupe_gathered SET complete = true, request = NULL WHERE reaction = $1 AND id = $2`, reaction, id); err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE troupe_gathered_answers SET answer = $3 WHERE reaction = $1 AND id = $2`, reaction, id, []byte{}); err != nil {
		return nil, err
	}
	return all, nil
}

// Gathering is how far a [choreo.Gather] has come for one request.
type Gathering struct {
	Expected []string             // services, by name
	Answered map[string]time.Time // services, and when their answers came
	Complete bool
}

// Waiting are the services that are expected and have not answered, by name.
func (g Gathering) Waiting() []string {
	var waiting []string
	for _, service := range g.Expected {
		if _, ok := g.Answered[service]; !ok {
			waiting = append(waiting, service)
		}
	}
	slices.Sort(waiting)
	return waiting
}

// Gathered returns how far the gathering by a reaction of the request event with
// the id given has come, as the transaction of ctx sees it; ok is false where
// the request has not been heard yet.
func Gathered(ctx context.Context, reaction, id string) (g Gathering, ok bool, err error) {
	var expected string
	err = Tx(ctx).QueryRowContext(ctx, `
		SELECT expected, complete FROM troupe_gathered WHERE reaction = $1 AND id = $2 AND expected IS NOT NULL`,
		reaction, id).Scan(&expected, &g.Complete)
	if errors.Is(err, sql.ErrNoRows) {
		return Gathering{}, false, nil
	}
	if err != nil {
		return Gathering{}, false, err
	}
	if err := json.Unmarshal([]byte(expected), &g.Expected); err != nil {
		return Gathering{}, false, err
	}
	slices.Sort(g.Expected)
	g.Answered, err = answered(ctx, reaction, id)
	return g, err == nil, err
}

func answered(ctx context.Context, reaction, id string) (map[string]time.Time, error) {
	type answer struct {
		service string
		at      int64
	}
	answers, err := Collect(ctx, func(rows *sql.Rows) (a answer, err error) {
		err = rows.Scan(&a.service, &a.at)
		return a, err
	}, `SELECT service, at FROM troupe_gathered_answers WHERE reaction = $1 AND id = $2`, reaction, id)
	came := make(map[string]time.Time, len(answers))
	for _, a := range answers {
		came[a.service] = time.UnixMilli(a.at)
	}
	return came, err
}
