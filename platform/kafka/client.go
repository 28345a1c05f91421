package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	kgo "github.com/segmentio/kafka-go"
	"github.com/troupedev/troupe/platform/kafka/internal/openconns"
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
	conns     openconns.Set
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
		log:    cfg.Logger,
		stop:   stop,
	}
	c.transport = &kgo.Transport{
		Dial:        c.dial,
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
	c.conns.Close()
	c.transport.CloseIdleConnections()
	return nil
}

// dial opens a connection that Close ends.
func (c *Client) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: c.cfg.DialTimeout}
	nc, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return c.conns.Add(nc)
}
