// Package openconns keeps account of open connections, so that they can all be
// closed at once: kafka-go's transport ends a connection only when it is idle,
// which after a cancelled request takes as long as the request might have, and
// kfake leaves its own open.
//
// Start reading at Set.
package openconns

import (
	"net"
	"sync"
)

// Set is the connections that are open. The zero value is an empty one. Its
// methods may be called from many goroutines.
type Set struct {
	mu     sync.Mutex
	open   map[*conn]struct{}
	closed bool
}

// Add takes a connection into the set until it is closed; what is to be used
// and closed is the one that it returns. A set that is closed closes nc and
// returns net.ErrClosed.
func (s *Set) Add(nc net.Conn) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		nc.Close()
		return nil, net.ErrClosed
	}
	if s.open == nil {
		s.open = make(map[*conn]struct{})
	}
	c := &conn{Conn: nc, set: s}
	s.open[c] = struct{}{}
	return c, nil
}

// Close closes all connections, and those that are added later.
func (s *Set) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.open {
		c.Conn.Close()
	}
	clear(s.open)
}

type conn struct {
	net.Conn
	set *Set
}

// Close closes the connection and forgets it.
func (c *conn) Close() error {
	c.set.mu.Lock()
	delete(c.set.open, c)
	c.set.mu.Unlock()
	return c.Conn.Close()
}
