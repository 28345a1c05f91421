package runtime

import (
	"reflect"
	"testing"

	"github.com/troupedev/troupe/platform/kafka"
)

func TestTopicsOfATopology(t *testing.T) {
	topology, _ := listener()
	day := map[string]string{"retention.ms": "604800000"}
	ever := map[string]string{"retention.ms": "-1"}
	dead := map[string]string{"retention.ms": "-1", "max.message.bytes": "4194304"}
	want := []kafka.TopicConfig{
		{Name: "x.depot", Partitions: 2, Settings: ever},
		{Name: "x.shop", Partitions: 3, Settings: day},
		{Name: "dlq.listener.x.depot", Partitions: 2, Settings: dead},
		{Name: "dlq.listener.x.shop", Partitions: 3, Settings: dead},
		{Name: "dlq.packer.x.shop", Partitions: 3, Settings: dead},
	}
	if got := Topics(topology, "x."); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}
