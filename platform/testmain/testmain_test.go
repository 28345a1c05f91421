package testmain_test

import (
	"testing"

	"github.com/troupedev/troupe/platform/testmain"
)

// TestWhatNobodyWouldStopIsNotTaken: this package's TestMain is not Run.
func TestWhatNobodyWouldStopIsNotTaken(t *testing.T) {
	if testmain.AtEnd(func() error { return nil }) {
		t.Error("AtEnd took what nobody will stop")
	}
}
