package embedded

import (
	"encoding/binary"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxRequest bounds a request, as Kafka's socket.request.max.bytes does.
const maxRequest = 100 << 20

// listener lets a client through only by a conn.
type listener struct{ net.Listener }

// Accept waits for the next connection.
func (l listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: nc}, nil
}

// conn is a client's connection. It refuses what is no request of Kafka's
// before kfake sees it: a browser that calls at this port would end the
// process otherwise.
type conn struct {
	net.Conn
	head []byte // of the request being read: its length and which it is
	left int64  // bytes of it that are still to come
}

// headBytes are the length of a request and its key.
const headBytes = 4 + 2

// Read reads, and fails at the first byte of what is no request.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if bad := c.check(b[:n]); bad != nil {
		return 0, bad
	}
	return n, err
}

// check follows the requests through the bytes as they come.
func (c *conn) check(b []byte) error {
	for len(b) > 0 {
		if len(c.head) == headBytes {
			n := min(c.left, int64(len(b)))
			b = b[n:]
			if c.left -= n; c.left == 0 {
				c.head = c.head[:0]
			}
			continue
		}
		c.head = append(c.head, b[0])
		b = b[1:]
		if err := c.checkHead(); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) checkHead() error {
	switch len(c.head) {
	case 4:
		length := binary.BigEndian.Uint32(c.head)
		if length < 8 || length > maxRequest {
			return fmt.Errorf("a request of %d bytes", length)
		}
		c.left = int64(length) - 2
	case headBytes:
		key := int16(binary.BigEndian.Uint16(c.head[4:]))
		if kmsg.RequestForKey(key) == nil {
			return fmt.Errorf("unknown request %d", key)
		}
	}
	return nil
}
