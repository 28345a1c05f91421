package store_test

import (
	"testing"

	"github.com/troupedev/troupe/platform/kafka/kafkatest"
)

func TestMain(m *testing.M) { kafkatest.Main(m) }
