package store_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/store"
)

// silent is a broker whose topic bank takes nothing, and says nothing.
type silent struct {
	*broker
	tries chan struct{}
}

func newSilent() *silent { return &silent{newBroker(), make(chan struct{}, 1000)} }

func (s *silent) publish(ctx context.Context, messages []choreo.Message) error {
	if messages[0].Domain == "bank" {
		s.tries <- struct{}{}
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return s.broker.publish(ctx, messages)
}

func TestATopicThatDoesNotAnswerHoldsUpNoOther(t *testing.T) {
	each(t, func(t *testing.T, url string) {
		db, b := open(t, url), newSilent()
		// It looks by itself too seldom to be of help: writers have to be heard.
		stop := run(t, db.Relay(store.RelayConfig{Publish: b.publish, Poll: time.Minute, Try: 300 * time.Millisecond}))
		emit(t, db, about("bank", "a", 0), about("shop", "a", 0))
		b.await(t, atLeast(1))
		for range 3 { // it is tried again, and what waits behind it is not in the way
			<-b.tries
			heard := len(b.ids())
			for n := range 5 {
				emit(t, db, about("bank", strconv.Itoa(n), heard+n+1), about("shop", strconv.Itoa(n), heard+n+1))
			}
			b.await(t, atLeast(heard+5))
		}
		ids := b.ids()
		stop()
		inOrder(t, ids)
		if len(ids) != 16 {
			t.Errorf("each once: %v", ids)
		}
		wantLeft(t, db, waiting, 16)
	})
}

func TestATopicThatDoesNotAnswerDoesNotStopRelaysFromSharing(t *testing.T) {
	onPostgres(t, func(t *testing.T, url string) {
		db, b := open(t, url), newSilent()
		busy := `SELECT count(*) FROM (SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND objid < 64
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) GROUP BY pid) owned WHERE n = 32`
		poll := 20 * time.Millisecond
		emit(t, db, about("bank", "a", 0))
		run(t, db.Relay(store.RelayConfig{Publish: b.publish, Poll: poll}))
		<-b.tries
		run(t, db.Relay(store.RelayConfig{Publish: b.publish, Poll: poll}))
		eventually(t, "each has half of the buckets", func() bool { return adminCount(t, url, busy) == 2 })
		if n := len(b.tries); n > 0 {
			t.Errorf("the other relay published %d times what was under way", n)
		}
	})
}
