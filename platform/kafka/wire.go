package kafka

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	kgo "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxResponse bounds the length of an answer that is believed.
const maxResponse = 256 << 20

// route is where a request goes: to any broker, to the leader of a partition,
// to the coordinator of a group. It is what kmsg's RequestWith asks for.
//
// A request belongs to one call: when ctx ends first, the connection may still
// be writing it.
type route struct {
	c       *Client
	timeout time.Duration
	message func(*exchange) protocol.Message
}

func (c *Client) any() route {
	return route{c, c.cfg.RequestTimeout, func(x *exchange) protocol.Message { return x }}
}

func (c *Client) leader(tp TopicPartition) route {
	return route{c, c.cfg.RequestTimeout, func(x *exchange) protocol.Message { return toLeader{x, tp} }}
}

func (c *Client) coordinator(group string) route {
	return route{c, c.cfg.RequestTimeout, func(x *exchange) protocol.Message { return toCoordinator{x, group} }}
}

// within gives the answer that long, on top of the time that a request takes.
func (r route) within(wait time.Duration) route {
	r.timeout += wait
	return r
}

// Request sends one request and waits for its answer.
func (r route) Request(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	// Without a deadline kafka-go sets none on the socket either.
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	answer, err := r.c.transport.RoundTrip(ctx, r.c.addr, r.message(&exchange{req: req, format: r.c.format}))
	if err != nil {
		return nil, err
	}
	r.c.reach.found(r.c.log)
	return answer.(*exchange).resp, nil
}

// exchange is one request and its answer, as kafka-go's transport carries it.
type exchange struct {
	req       kmsg.Request
	resp      kmsg.Response
	format    *kmsg.RequestFormatter
	supported bool
}

// ApiKey says which request this is.
func (x *exchange) ApiKey() protocol.ApiKey { return protocol.ApiKey(x.req.Key()) }

// Required chooses the version: the newest that the broker, kafka-go and kmsg
// know. It always wants the raw exchange.
func (x *exchange) Required(versions map[protocol.ApiKey]int16) bool {
	version, ok := versions[x.ApiKey()]
	x.supported = ok
	x.req.SetVersion(min(version, x.req.MaxVersion()))
	return true
}

// RawExchange writes the request and reads its answer.
func (x *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if !x.supported {
		return nil, fmt.Errorf("%w: the broker has no request %d", kgo.UnsupportedVersion, x.req.Key())
	}
	const correlation = 1 // one request at a time on a connection
	if _, err := rw.Write(x.format.AppendRequest(nil, x.req, correlation)); err != nil {
		return nil, err
	}
	body, err := readFrame(rw)
	if err != nil {
		return nil, err
	}
	resp := x.req.ResponseKind()
	if body, err = stripHeader(body, correlation, resp.IsFlexible()); err != nil {
		return nil, err
	}
	if err := resp.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("%w: answer to request %d: %w", ErrCorrupt, x.req.Key(), err)
	}
	return &exchange{req: x.req, resp: resp}, nil
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > maxResponse {
		return nil, fmt.Errorf("%w: an answer of %d bytes", ErrCorrupt, n)
	}
	body := make([]byte, n)
	_, err := io.ReadFull(r, body)
	return body, err
}

// stripHeader takes the correlation id and, in newer versions, tagged fields
// off an answer. Nobody sends such fields in a header, so only none is read.
func stripHeader(body []byte, correlation uint32, flexible bool) ([]byte, error) {
	if got := binary.BigEndian.Uint32(body); got != correlation {
		return nil, fmt.Errorf("%w: answer to request %d where %d was asked", ErrCorrupt, got, correlation)
	}
	body = body[4:]
	if !flexible {
		return body, nil
	}
	if len(body) == 0 || body[0] != 0 {
		return nil, fmt.Errorf("%w: unknown fields in the header of an answer", ErrCorrupt)
	}
	return body[1:], nil
}

type toLeader struct {
	*exchange
	tp TopicPartition
}

// Broker is the leader of the partition, as the transport last heard.
func (r toLeader) Broker(cluster protocol.Cluster) (protocol.Broker, error) {
	partition, ok := cluster.Topics[r.tp.Topic].Partitions[r.tp.Partition]
	if !ok {
		return protocol.Broker{}, kgo.UnknownTopicOrPartition
	}
	broker, ok := cluster.Brokers[partition.Leader]
	if !ok {
		return protocol.Broker{}, kgo.LeaderNotAvailable
	}
	return broker, nil
}

type toCoordinator struct {
	*exchange
	group string
}

// Group says whose coordinator the transport has to find.
func (r toCoordinator) Group() string { return r.group }
