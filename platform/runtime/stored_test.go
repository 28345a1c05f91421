package runtime

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/failpoint"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/kafka/kafkatest"
	"github.com/troupedev/troupe/platform/store"
	"github.com/troupedev/troupe/platform/store/storetest"
)

// effects is a database in which each effect leaves a row.
var effects = store.Tables(fstest.MapFS{"00001_effects.sql": {Data: []byte("-- +goose Up\nCREATE TABLE effects (id text NOT NULL);\n")}})

// stocker hears Sold, leaves a row, and emits Packed.
func stocker() choreo.Service {
	return choreo.Service{Name: "stocker", Store: effects, Reactions: []choreo.Reaction{choreo.On(func(ctx context.Context, e sold) (choreo.Events, error) {
		if _, err := store.Tx(ctx).ExecContext(ctx, "INSERT INTO effects (id) VALUES ($1)", e.ID); err != nil {
			return nil, err
		}
		return choreo.Emit(packed{e.ID, "now"}), nil
	}, choreo.Emits(packed{}))}}
}

// life is a process that dies at a step: no step is reached any more then. That
// its partitions are somebody else's by then lets it end without waiting.
type life struct {
	step string
	died chan struct{}
	dead atomic.Bool
}

func (l *life) reach(step string) error {
	if step == l.step && l.dead.CompareAndSwap(false, true) {
		close(l.died)
	}
	if l.dead.Load() {
		return fmt.Errorf("died at %s: %w", l.step, kafka.ErrFenced)
	}
	return nil
}

func TestNoEffectIsRepeatedWhereverAServiceDies(t *testing.T) {
	broker := kafkatest.Broker(t)
	for _, step := range []string{
		failpoint.HandlerStarts, failpoint.HandlerEnded, failpoint.StoreCommits, failpoint.StoreCommitted,
		failpoint.RelayPublishes, failpoint.RelayPublished, failpoint.RelayDeleted, failpoint.OffsetCommits, failpoint.OffsetCommitted,
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s, folder := newSite(t, broker), t.TempDir()
			topology := choreo.Topology{stocker(), {Name: "shipper", Reactions: []choreo.Reaction{
				choreo.On(func(_ context.Context, e packed) (choreo.Events, error) { return choreo.Emit(shipped{e.ID}), nil }, choreo.Emits(shipped{})),
			}}}
			s.run(topology, only("shipper"))
			first := &life{step: step, died: make(chan struct{})}
			s.live(failpoint.With(context.Background(), first.reach), topology, folder, func(*store.DB) {
				s.publish(sales(t, ids("order-", 5)...)...)
				<-first.died
			})
			s.live(context.Background(), topology, folder, func(db *store.DB) {
				s.publish(sales(t, "last")...)
				all := append(ids("order-", 5), "last")
				distinct := map[string]bool{}
				enough := shippedIDs(all...)
				s.read(s.prefix+"depot", 2, func(r kafka.Record) bool {
					if e, err := event.ParseHeaders(r.Headers); err == nil && e.Type == typesPacked[0].FullName() {
						distinct[e.ID] = true
					}
					return enough(r)
				})
				rows := rowsOf(t, db)
				for _, id := range all {
					if rows[id] != 1 {
						t.Errorf("%s: %d effects", id, rows[id])
					}
				}
				if len(distinct) != len(all) {
					t.Errorf("emitted %d events, want %d", len(distinct), len(all))
				}
			})
		})
	}
}

// live runs the stocker on the database in folder while something goes on.
func (s *site) live(ctx context.Context, topology choreo.Topology, folder string, meanwhile func(*store.DB)) {
	s.Helper()
	db, err := store.Open(s.Context(), store.Config{URL: "sqlite:" + folder, Service: "stocker", Tables: effects})
	if err != nil {
		s.Fatal(err)
	}
	defer db.Close()
	stop := s.runIn(ctx, topology, only("stocker"), func(o *Options) {
		o.Databases = map[string]*store.DB{"stocker": db}
	})
	defer stop()
	meanwhile(db)
}

// rowsOf counts the effects by id.
func rowsOf(t *testing.T, db *store.DB) map[string]int {
	t.Helper()
	out := map[string]int{}
	err := db.Read(t.Context(), func(ctx context.Context) error {
		rows, err := store.Tx(ctx).QueryContext(ctx, "SELECT id FROM effects")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			out[id]++
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhatWasEmittedLastIsPublished(t *testing.T) {
	s := newSite(t, kafkatest.Broker(t))
	began, stopped := make(chan struct{}), make(chan struct{})
	slow := stocker()
	slow.Reactions = []choreo.Reaction{choreo.On(func(_ context.Context, e sold) (choreo.Events, error) {
		close(began)
		<-stopped
		return choreo.Emit(packed{e.ID, "late"}), nil
	}, choreo.Emits(packed{}))}
	db := storetest.Open(t, store.Memory, "stocker", effects, nil)
	ctx, cancel := context.WithCancel(t.Context())
	stop := s.runIn(ctx, choreo.Topology{slow}, func(o *Options) { o.Databases = map[string]*store.DB{"stocker": db.DB} })
	s.publish(sales(t, "1")...)
	<-began
	cancel()
	close(stopped)
	stop()
	if got := whats(t, s.read(s.prefix+"depot", 2, packedIDs("1"))); got["1"] != "late" {
		t.Errorf("published %v", got)
	}
}

func TestARunEndsWhereAnOutboxCannotBeRead(t *testing.T) {
	s := newSite(t, kafkatest.Broker(t))
	db := storetest.Open(t, store.Memory, "stocker", effects, nil)
	_, err := db.Handle(t.Context(), store.Entry{Reaction: "test", ID: "1"}, func(ctx context.Context) ([]choreo.Message, error) {
		_, err := store.Tx(ctx).ExecContext(ctx, "ALTER TABLE troupe_outbox RENAME TO lost")
		return nil, err
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = Run(ctx, choreo.Topology{stocker()}, Options{Client: s.client, Prefix: s.prefix, Databases: map[string]*store.DB{"stocker": db.DB}})
	if err == nil || !strings.Contains(err.Error(), "service stocker: outbox: ") {
		t.Errorf("got %v", err)
	}
}
