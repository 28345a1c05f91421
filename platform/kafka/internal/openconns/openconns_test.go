package openconns_test

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/troupedev/troupe/platform/kafka/internal/openconns"
)

func TestCloseEndsWhatIsOpenAndWhatComesLater(t *testing.T) {
	var set openconns.Set
	one, _ := add(t, &set)
	two, far := add(t, &set)
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	set.Close()
	if _, err := two.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("reading from what was open: %v", err)
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the other side reads %v", err)
	}
	late, other := net.Pipe()
	defer other.Close()
	if _, err := set.Add(late); !errors.Is(err, net.ErrClosed) {
		t.Errorf("added after Close: %v", err)
	}
	if _, err := late.Read(make([]byte, 1)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("what came after Close is open: %v", err)
	}
}

// add puts one end of a pipe into the set.
func add(t *testing.T, set *openconns.Set) (near, far net.Conn) {
	t.Helper()
	near, far = net.Pipe()
	t.Cleanup(func() { far.Close() })
	near, err := set.Add(near)
	if err != nil {
		t.Fatal(err)
	}
	return near, far
}
