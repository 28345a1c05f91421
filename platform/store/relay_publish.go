package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/kafka"
)

// outcome is what became of rows that were to be published. Those that are in
// neither list wait.
type outcome struct {
	published []row
	refused   []refusal
	failed    error
}

// refusal is a row that the broker will never take.
type refusal struct {
	row
	err error
}

// trouble is a topic, of the domain of that name, to which nothing can be
// published now.
type trouble struct {
	tries  int
	again  time.Time     // not before
	faults map[int64]int // rows, by seq: how often each failed while others passed
}

// A row is set aside, too, when it failed so often although others passed, each
// time at once: what the producer could try again it would have tried for longer.
const (
	maxFaults = 3
	atOnce    = 5 * time.Second
	patience  = 3  // tries of a topic before rows are tried one by one
	suspected = 50 // rows that fail one by one before it is the broker
)

// split is rows by their domains, in their order.
func split(rows []row) (topics [][]row) {
	at := map[string]int{}
	for _, one := range rows {
		i, ok := at[one.domain]
		if !ok {
			i = len(topics)
			at[one.domain] = i
			topics = append(topics, nil)
		}
		topics[i] = append(topics[i], one)
	}
	return topics
}

func (r *Relay) produce(ctx context.Context, rows []row) error {
	messages := make([]choreo.Message, len(rows))
	for i := range rows {
		var err error
		if messages[i], err = rows[i].message(); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, r.config.Try)
	defer cancel()
	return r.config.Publish(ctx, messages)
}

// publishTo publishes rows of one topic, which is in trouble where t is not nil.
func (r *Relay) publishTo(ctx context.Context, rows []row, t *trouble) outcome {
	if t != nil && t.tries >= patience {
		return r.isolate(ctx, rows, t)
	}
	return r.bisect(ctx, rows)
}

// account keeps account of a topic's troubles.
func (r *Relay) account(ctx context.Context, domain string, done outcome) {
	switch {
	case done.failed == nil:
		r.recovered(ctx, domain)
	case ctx.Err() == nil:
		r.troubled(ctx, domain, done.failed)
	}
}

// bisect publishes rows, without those that are too large: it finds these by
// publishing ever smaller parts. It stops at any other error.
func (r *Relay) bisect(ctx context.Context, rows []row) (done outcome) {
	err := r.produce(ctx, rows)
	switch {
	case err == nil:
		return outcome{published: rows}
	case !errors.Is(err, kafka.ErrTooLarge):
		return outcome{failed: err}
	case len(rows) == 1:
		return outcome{refused: []refusal{{rows[0], err}}}
	}
	for _, half := range [][]row{rows[:len(rows)/2], rows[len(rows)/2:]} {
		of := r.bisect(ctx, half)
		done.published = append(done.published, of.published...)
		done.refused = append(done.refused, of.refused...)
		if of.failed != nil {
			done.failed = of.failed
			break
		}
	}
	return done
}

// isolate publishes rows of a topic that fails again and again: one by one, until one
// passes, which says that it is not the broker; then all others but those that
// failed, and what has their keys.
func (r *Relay) isolate(ctx context.Context, rows []row, t *trouble) (done outcome) {
	held := map[string]bool{}
	var suspects []refusal
	for len(rows) > 0 && len(done.published) == 0 {
		one := rows[0]
		rows = rows[1:]
		if one.key != nil && held[string(one.key)] {
			continue
		}
		started := time.Now()
		of := r.bisect(ctx, []row{one})
		done.published, done.refused = of.published, append(done.refused, of.refused...)
		if of.failed == nil {
			continue
		}
		done.failed = of.failed
		held[string(one.key)] = one.key != nil
		if time.Since(started) < atOnce {
			suspects = append(suspects, refusal{one, of.failed})
		}
		if len(suspects) > suspected || time.Since(started) >= atOnce || ctx.Err() != nil {
			return done
		}
	}
	if len(done.published) == 0 {
		return done
	}
	rows = slices.DeleteFunc(slices.Clone(rows), func(one row) bool { return one.key != nil && held[string(one.key)] })
	if len(rows) > 0 {
		of := r.bisect(ctx, rows)
		done.published = append(done.published, of.published...)
		done.refused = append(done.refused, of.refused...)
		done.failed = errors.Join(done.failed, of.failed)
	}
	done.refused = append(done.refused, t.fault(suspects)...)
	return done
}

// fault notes that suspects failed while another row passed, and returns those
// that did so too often.
func (t *trouble) fault(suspects []refusal) (out []refusal) {
	for _, s := range suspects {
		if t.faults == nil {
			t.faults = map[int64]int{}
		}
		if t.faults[s.seq]++; t.faults[s.seq] >= maxFaults {
			delete(t.faults, s.seq)
			out = append(out, s)
		}
	}
	return out
}

// troubled notes that nothing can be published to a topic, and when to try again.
func (r *Relay) troubled(ctx context.Context, domain string, err error) {
	t := r.topics[domain]
	if t == nil {
		t = &trouble{}
		r.topics[domain] = t
		r.log(ctx, slog.LevelWarn, "events cannot be published; they wait in the outbox", "topic", domain, "err", err)
	}
	t.again = time.Now().Add(min(firstPause<<min(t.tries, 10), lastPause))
	t.tries++
	r.log(ctx, slog.LevelDebug, "events cannot be published yet", "topic", domain, "tries", t.tries, "err", err)
}

func (r *Relay) recovered(ctx context.Context, domain string) {
	if r.topics[domain] != nil {
		delete(r.topics, domain)
		r.log(ctx, slog.LevelInfo, "events are published again", "topic", domain)
	}
}

// forget ends the troubles of topics for which nothing waits any more: another
// relay saw to that, or a person.
func (r *Relay) forget(skipped []string) {
	maps.DeleteFunc(r.topics, func(domain string, _ *trouble) bool { return !slices.Contains(skipped, domain) })
}

// unable are the domains to whose topics nothing is to be published yet.
func (r *Relay) unable() []string {
	_, domains := r.inFlight()
	for domain, t := range r.topics {
		if time.Now().Before(t.again) {
			domains = append(domains, domain)
		}
	}
	return domains
}

// again is when the next topic in trouble is to be tried; ok is false where none is.
func (r *Relay) again() (at time.Time, ok bool) {
	for domain, t := range r.topics {
		if r.flights[domain] == nil && (!ok || t.again.Before(at)) {
			at, ok = t.again, true
		}
	}
	return at, ok
}

// setAside moves a row to troupe_refused, so that it stops no others.
func (r *Relay) setAside(ctx context.Context, refused refusal) error {
	err := r.together(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO troupe_refused (seq, bucket, created, id, aggregatetype, aggregateid, type, payload, headers, error)
			SELECT seq, bucket, created, id, aggregatetype, aggregateid, type, payload, headers, $3 FROM troupe_outbox
			WHERE bucket = $1 AND seq = $2`, refused.bucket, refused.seq, refused.err.Error()); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM troupe_outbox WHERE bucket = $1 AND seq = $2`, refused.bucket, refused.seq)
		return err
	})
	if err == nil {
		r.log(ctx, slog.LevelError, fmt.Sprintf("the broker refuses an event, which is kept in troupe_refused: "+
			"mend what it complains of (max.message.bytes of the topic, say), then move row %d back into troupe_outbox, without its seq", refused.seq),
			"event", refused.id, "type", refused.kind, "key", string(refused.key), "err", refused.err)
	}
	return err
}
