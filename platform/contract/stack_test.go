package contract_test

import (
	"bytes"
	"runtime"
	"sync"
	"testing"

	"github.com/troupedev/troupe/platform/contract"
	"github.com/troupedev/troupe/platform/event"
)

// TestCodecHoldsWhileStacksMove has the garbage collector shrink stacks that
// values are encoded on. The codec hides pointers to its stack from the
// compiler; one that were not moved along would leave a value without its body.
func TestCodecHoldsWhileStacksMove(t *testing.T) {
	var e event.Event
	for _, e = range everything() {
		break
	}
	want := encode(t, e)
	done := make(chan struct{})
	var collecting, encoding sync.WaitGroup
	collecting.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				runtime.GC()
			}
		}
	})
	for range 4 {
		encoding.Go(func() {
			for range 100 {
				grow(200)
				for range 300 {
					got, err := contract.Append(nil, e)
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("got %d bytes, want %d, %v", len(got), len(want), err)
						return
					}
				}
			}
		})
	}
	encoding.Wait()
	close(done)
	collecting.Wait()
}

// grow makes the stack large, so that there is something to shrink.
//
//go:noinline
func grow(n int) int {
	var frame [64]int
	frame[n%64] = n
	if n == 0 {
		return frame[0]
	}
	return grow(n-1) + frame[n%64]
}
