package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	kgo "github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Config says how to reach the brokers.
type Config struct {
	// Brokers are addresses, host:port, of some of the brokers; the others are
	// learnt from them. At least one.
	Brokers []string

	// ClientID names this program in the brokers' logs and quotas.
	// Default "troupe".
	ClientID string

	// DialTimeout bounds how long a connection may take to open. Default 5 s.
	DialTimeout time.Duration

	// RequestTimeout bounds a request that the broker should answer at once.
	// Default 10 s. Requests that wait by design (fetch, join) have their own.
	RequestTimeout time.Duration

	// MetadataAge is how long it may take until a moved partition is looked for
	// in its new place. Default 1 s.
	MetadataAge time.Duration

	// Logger is told of outages, each once. Default slog.Default().
	Logger *slog.Logger
}

func (cfg *Config) validate() error {
	var errs []error
	if len(cfg.Brokers) == 0 {
		errs = append(errs, errors.New("kafka: no broker address given (--brokers)"))
	}
	for _, addr := range cfg.Brokers {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			errs = append(errs, fmt.Errorf("kafka: broker address %q is not host:port (--brokers)", addr))
		}
	}
	for name, d := range map[string]time.Duration{
		"DialTimeout": cfg.DialTimeout, "RequestTimeout": cfg.RequestTimeout, "MetadataAge": cfg.MetadataAge,
	} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("kafka: %s is negative: %s", name, d))
		}
	}
	return errors.Join(errs...)
}

func (cfg *Config) setDefaults() {
	setDefault(&cfg.ClientID, "troupe")
	setDefault(&cfg.DialTimeout, 5*time.Second)
	setDefault(&cfg.RequestTimeout, 10*time.Second)
	setDefault(&cfg.MetadataAge, time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Client is the connections to one Kafka cluster, shared by everything that a
// program does with it. Its methods may be called from many goroutines.
type Client struct {
	cfg       Config
	addr      net.Addr
	transport *kgo.Transport
	format    *kmsg.RequestFormatter
	conns     conns
	reach     reach
	log       *slog.Logger
	stop      context.CancelFunc
}

// New prepares a client; it connects when it is first used. See Ping.
func New(cfg Config) (*Client, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	ctx, stop := context.WithCancel(context.Background())
	c := &Client{
		cfg:    cfg,
		addr:   kgo.TCP(cfg.Brokers...),
		format: kmsg.NewRequestFormatter(kmsg.FormatterClientID(cfg.ClientID)),
		conns:  conns{open: make(map[net.Conn]struct{})},
		log:    cfg.Logger,
		stop:   stop,
	}
	c.transport = &kgo.Transport{
		Dial:        c.conns.dial(&net.Dialer{Timeout: cfg.DialTimeout}),
		DialTimeout: cfg.DialTimeout,
		MetadataTTL: cfg.MetadataAge,
		ClientID:    cfg.ClientID,
		Context:     ctx,
	}
	return c, nil
}

// Ping asks a broker for nothing, to learn whether one is there. The error is
// one line, meant to be shown.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.topics(ctx)
	if errors.Is(err, io.EOF) { // a connection from before the broker's restart
		_, err = c.topics(ctx)
	}
	if err != nil {
		return fmt.Errorf("cannot reach Kafka at %s: %s; is it running? (--brokers)",
			strings.Join(c.cfg.Brokers, ", "), reason(err))
	}
	return nil
}

// Reachable tells whether some broker answers, as far as the requests of late
// show: it makes none itself. Groups that are joined notice within some
// heartbeats that no broker answers, and as soon that one does again.
func (c *Client) Reachable() bool { return c.reach.is() }

// Close ends all connections. Producers, readers and memberships are to be
// closed before; what they still have in hand fails.
func (c *Client) Close() error {
	c.stop()
	c.conns.closeAll()
	c.transport.CloseIdleConnections()
	return nil
}

// conns remembers the open connections, because kafka-go's transport ends a
// connection only once it is idle, which after a cancelled request takes as
// long as the request might have.
type conns struct {
	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
}

func (cs *conns) dial(d *net.Dialer) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		cs.mu.Lock()
		defer cs.mu.Unlock()
		if cs.closed {
			nc.Close()
			return nil, ErrClosed
		}
		cs.open[nc] = struct{}{}
		return &conn{Conn: nc, from: cs}, nil
	}
}

func (cs *conns) closeAll() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.closed = true
	for nc := range cs.open {
		nc.Close()
	}
	clear(cs.open)
}

type conn struct {
	net.Conn
	from *conns
}

func (c *conn) Close() error {
	c.from.mu.Lock()
	delete(c.from.open, c.Conn)
	c.from.mu.Unlock()
	return c.Conn.Close()
}
