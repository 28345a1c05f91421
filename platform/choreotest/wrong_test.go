package choreotest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/choreotest"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/store"
)

// reactions is a service that consists of them.
func reactions(name string, s choreo.Store, r ...choreo.Reaction) choreo.Service {
	return choreo.Service{Name: name, Doc: "Is wrong.", Store: s, Reactions: r}
}

// TestFaultsAreFound plays services that are wrong, each in its own way; the
// shop, the bank and the warehouse of the other tests show how it is right.
func TestFaultsAreFound(t *testing.T) {
	allSeeds(t)
	for name, play := range map[string]struct {
		with func(r *record) (script func(*choreotest.Stage), services []choreo.Service)
		says string
		calm bool // found without any fault
	}{
		"a count in memory, which is another each time": {calm: true, says: "run twice for one orders.Ordered",
			with: func(*record) (func(*choreotest.Stage), []choreo.Service) {
				count := int64(0)
				return func(s *choreotest.Stage) { s.Send(of[ordered]("o", 1)) }, []choreo.Service{reactions("counter", nil,
					choreo.On(func(_ context.Context, o ordered) (choreo.Events, error) {
						count++
						return choreo.Emit(of[paid](o.ID, count)), nil
					}, choreo.Emits(paid{})))}
			}},
		"an id made up": {calm: true, says: "run twice for one orders.Ordered",
			with: func(*record) (func(*choreotest.Stage), []choreo.Service) {
				return func(s *choreotest.Stage) { s.Send(of[ordered]("o", 1)) }, []choreo.Service{reactions("bank", tables(payments),
					choreo.On(func(_ context.Context, o ordered) (choreo.Events, error) {
						return choreo.Emit(of[paid](event.NewID(time.Now()), o.N)), nil
					}, choreo.Emits(paid{})))}
			}},
		"state in memory, which a crash takes": {says: "nobody emitted money.Refunded",
			with: func(*record) (func(*choreotest.Stage), []choreo.Service) {
				paidFor := map[string]int64{}
				forgetful := reactions("bank", nil,
					choreo.On(func(_ context.Context, p paid) (choreo.Events, error) {
						paidFor[p.ID] = p.N
						return nil, nil
					}),
					choreo.On(func(_ context.Context, e short) (choreo.Events, error) {
						return choreo.Emit(of[refunded](e.ID, paidFor[e.ID])), nil
					}, choreo.Emits(refunded{})))
				forgetful.Start = func(context.Context) error { clear(paidFor); return nil }
				return func(s *choreotest.Stage) {
					s.Send(of[paid]("o", 1))
					s.Send(of[short]("o", 1))
					s.Emitted(of[refunded]("o", 1))
				}, []choreo.Service{forgetful}
			}},
		"an effect outside of the transaction, done again": {calm: true, says: "charged 2",
			with: func(r *record) (func(*choreotest.Stage), []choreo.Service) {
				charged := 0
				return func(s *choreotest.Stage) {
						charged = 0
						s.Send(of[ordered]("o", 1))
						if charged > 1 {
							r.Errorf("charged %d", charged)
						}
					}, []choreo.Service{reactions("bank", tables(payments),
						choreo.On(func(ctx context.Context, o ordered) (choreo.Events, error) {
							charged++
							_, err := store.Tx(ctx).ExecContext(ctx, `INSERT INTO payments VALUES ($1, $2, false)`, o.ID, o.N)
							return choreo.Emit(of[paid](o.ID, o.N)), err
						}, choreo.Emits(paid{})))}
			}},
		"only the last event known again": {says: "charged a ",
			with: func(r *record) (func(*choreotest.Stage), []choreo.Service) {
				var last string
				charged := map[string]int{}
				return func(s *choreotest.Stage) {
						clear(charged)
						s.Send(of[ordered]("a", 1), of[ordered]("b", 1))
						if charged["a"] > 1 {
							r.Errorf("charged a %d", charged["a"])
						}
					}, []choreo.Service{reactions("bank", nil,
						choreo.On(func(ctx context.Context, o ordered) (choreo.Events, error) {
							if id := event.From(ctx).ID; id != last {
								charged[o.ID]++
								last = id
							}
							return nil, nil
						}))}
			}},
		"one order of events taken for granted": {says: "a dead letter that nothing asked for",
			with: func(*record) (func(*choreotest.Stage), []choreo.Service) {
				return func(s *choreotest.Stage) { s.Send(of[ordered]("o", 1), of[paid]("o", 1)) },
					[]choreo.Service{reactions("shop", tables(payments),
						choreo.On(func(ctx context.Context, o ordered) (choreo.Events, error) {
							_, err := store.Tx(ctx).ExecContext(ctx, `INSERT INTO payments VALUES ($1, 0, false)`, o.ID)
							return nil, err
						}),
						choreo.On(func(ctx context.Context, p paid) (choreo.Events, error) {
							var amount int64
							err := store.Tx(ctx).QueryRowContext(ctx, `SELECT amount FROM payments WHERE id = $1`, p.ID).Scan(&amount)
							return nil, choreo.Permanent(err)
						}))}
			}},
		"a compensation lost, since it came before what it is of": {says: "charged, and never given back",
			with: func(r *record) (func(*choreotest.Stage), []choreo.Service) {
				b := newBank()
				hasty := b.service()
				hasty.Reactions[1] = choreo.On(func(ctx context.Context, e short) (choreo.Events, error) {
					var amount int64 // what is not charged needs no refund: but it may yet be charged
					row := store.Tx(ctx).QueryRowContext(ctx, `SELECT coalesce(sum(amount), 0) FROM payments WHERE id = $1`, e.ID)
					if err := row.Scan(&amount); amount == 0 || err != nil {
						return nil, err
					}
					return b.refund(ctx, e.ID)
				}, choreo.Emits(refunded{}))
				return func(s *choreotest.Stage) {
					*b = *newBank()
					s.Send(of[ordered]("o", 1), of[short]("o", 1))
					if b.charged["o"] != b.given["o"] {
						r.Errorf("charged, and never given back")
					}
				}, []choreo.Service{hasty}
			}},
		"no reply taken for an answer": {says: "money.Paid was emitted again with the same id, and is another",
			with: func(*record) (func(*choreotest.Stage), []choreo.Service) {
				return func(s *choreotest.Stage) { s.Send(of[ordered]("o", 1)); s.Emitted(of[paid]("o", 5)) },
					[]choreo.Service{catalogue(), reactions("clerk", nil, choreo.On(func(ctx context.Context, o ordered) (choreo.Events, error) {
						cost, err := choreo.Ask(ctx, of[priced](o.ID, o.N))
						if errors.Is(err, context.DeadlineExceeded) {
							return choreo.Emit(of[paid](o.ID, 0)), nil
						}
						return choreo.Emit(of[paid](o.ID, cost.N)), err
					}, choreo.Emits(priced{}, paid{})))}
			}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &record{TB: t}
			script, services := play.with(r)
			r.play(script, services...)
			all := strings.Join(r.said, "\n")
			if !strings.Contains(all, play.says) {
				t.Fatalf("it said %q, want %q", all, play.says)
			}
			if seeded := strings.Contains(all, "TROUPE_SEED="); seeded == play.calm {
				t.Errorf("found with a seed: %v, want %v; it said %s", seeded, !play.calm, all)
			}
		})
	}
}
