package runtime

import (
	"cmp"
	"slices"
	"sync"

	"github.com/troupedev/troupe/platform/kafka"
)

// Health tells what of a run is stuck, while it runs and from any goroutine.
// The zero value is ready to be given to [Run].
type Health struct {
	mu    sync.Mutex
	stuck map[*owner]error
}

// Stuck is a partition that this process owns and cannot read: the broker's
// records are unreadable ([kafka.ErrCorrupt]), the committed offset is beyond
// the end ([kafka.ErrBeyondEnd]), or the broker refuses the service. It is tried
// again, but will hardly heal without somebody's help. A broker that is away
// makes no partition stuck.
type Stuck struct {
	Service   string
	Partition kafka.TopicPartition
	Err       error
}

// Stuck returns the partitions that are stuck now, by service, topic and
// partition.
func (h *Health) Stuck() []Stuck {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]Stuck, 0, len(h.stuck))
	for o, err := range h.stuck {
		out = append(out, Stuck{o.service.name, o.partition, err})
	}
	slices.SortFunc(out, func(a, b Stuck) int {
		return cmp.Or(
			cmp.Compare(a.Service, b.Service),
			cmp.Compare(a.Partition.Topic, b.Partition.Topic),
			cmp.Compare(a.Partition.Partition, b.Partition.Partition),
		)
	})
	return out
}

// set notes that an owner cannot read its partition, or, with nil, that it can
// or need no longer.
func (h *Health) set(o *owner, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		delete(h.stuck, o)
		return
	}
	if h.stuck == nil {
		h.stuck = map[*owner]error{}
	}
	h.stuck[o] = err
}
