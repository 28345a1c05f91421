package store_test

import (
	"testing"

	"github.com/troupedev/troupe/platform/testmain"
)

func TestMain(m *testing.M) { testmain.Run(m) }
