package runtime

import (
	"context"
	"reflect"
	"testing"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/kafka"
)

func TestTopicsOfATopology(t *testing.T) {
	topology, _ := listener()
	week := map[string]string{"cleanup.policy": "delete", "retention.ms": "604800000"}
	ever := map[string]string{"cleanup.policy": "delete", "retention.ms": "-1"}
	dead := map[string]string{"cleanup.policy": "delete", "retention.ms": "-1", "max.message.bytes": "16777216"}
	shop := kafka.TopicConfig{Name: "x.shop", Partitions: 3, Settings: week}
	depot := kafka.TopicConfig{Name: "x.depot", Partitions: 2, Settings: ever}
	packerShop := kafka.TopicConfig{Name: "dlq.packer.x.shop", Partitions: 3, Settings: dead}
	auditor := choreo.Service{Name: "auditor", Reactions: []choreo.Reaction{choreo.OnTopic("depot", onAny)}}
	asker := choreo.Service{Name: "asker", Reactions: []choreo.Reaction{choreo.On(onSold, choreo.Emits(asked{}))}}
	answerer := choreo.Service{Name: "answerer", Reactions: []choreo.Reaction{choreo.Answer(onAsked)}}
	topology = append(topology, auditor, asker, answerer)
	announced := kafka.TopicConfig{Name: "x.troupe.services", Partitions: 1, DeleteByHand: true, Settings: map[string]string{
		"cleanup.policy": "compact", "retention.ms": "-1", "segment.ms": "86400000",
	}}
	replies := kafka.TopicConfig{Name: "x.troupe.replies.asker", Partitions: 1, DeleteByHand: true, Settings: map[string]string{
		"cleanup.policy": "delete", "retention.ms": "3600000", "segment.ms": "3600000",
	}}
	for name, c := range map[string]struct {
		run  []string
		want []kafka.TopicConfig
	}{
		"all services": {nil, []kafka.TopicConfig{depot, shop,
			{Name: "dlq.listener.x.depot", Partitions: 2, Settings: dead},
			{Name: "dlq.listener.x.shop", Partitions: 3, Settings: dead},
			packerShop,
			{Name: "dlq.auditor.x.depot", Partitions: 2, Settings: dead},
			{Name: "dlq.asker.x.shop", Partitions: 3, Settings: dead},
			replies,
			{Name: "dlq.answerer.x.depot", Partitions: 2, Settings: dead},
			announced,
		}},
		"a service that hears one domain and emits to another": {[]string{"packer"}, []kafka.TopicConfig{depot, shop, packerShop, announced}},
		"a service that names a domain and none of its events": {[]string{"auditor"}, []kafka.TopicConfig{depot,
			{Name: "dlq.auditor.x.depot", Partitions: 2, Settings: dead}, announced,
		}},
		"a service that asks": {[]string{"asker"}, []kafka.TopicConfig{depot, shop,
			{Name: "dlq.asker.x.shop", Partitions: 3, Settings: dead}, replies, announced,
		}},
		"a service that answers": {[]string{"answerer"}, []kafka.TopicConfig{depot,
			{Name: "dlq.answerer.x.depot", Partitions: 2, Settings: dead}, announced,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			running, err := topology.Select(c.run...)
			if err != nil {
				t.Fatal(err)
			}
			if got := Topics(topology, running, "x."); !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func onAsked(_ context.Context, q asked) (told, error) { return told{q.ID, "here"}, nil }
