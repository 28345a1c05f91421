// Package embedded is a Kafka broker in this process, for trying Troupe out and
// for tests: nothing to install, data kept in a folder. It listens on a real
// port, so that kcat and other Kafka clients work against it.
//
// It is franz-go's kfake, one broker with everything in one goroutine. What
// surprises:
//   - Records are in the hands of the operating system once acknowledged: they
//     outlive a kill -9 of this process, not a power cut.
//   - Starting reads all records in the folder: about 3 s for a gigabyte, a few
//     milliseconds for 10,000 records.
//   - It does not say that it knows the oldest produce requests, so clients on
//     librdkafka, kcat among them, send it nothing compressed.
//   - Topics are made by Troupe's provisioning, not by producing to them.
//   - Groups begin without their members after a restart, so every member joins
//     again; committed offsets are kept.
//   - Settings of topics are taken whatever they are, and most do nothing:
//     max.message.bytes, cleanup.policy, retention.ms and retention.bytes hold;
//     one copy of a record is all there is.
//   - Offset metadata of any length is taken; Kafka refuses more than 4,096
//     bytes.
//   - What a person would call a cluster (leaders that move, replicas that lag)
//     is not there. Faults of that kind show on real Kafka only.
//
// Start reading at Start.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Config says where the broker listens and where it keeps its data.
type Config struct {
	// Listen is host:port; port 0 takes a free one. Default 127.0.0.1:9092.
	// Clients are told this host, so it is one that they can reach.
	Listen string

	// DataDir is the folder of the data, made if missing. Empty: data is kept
	// in memory and gone at Close.
	DataDir string

	// Logger hears of faults in the data. Default slog.Default().
	Logger *slog.Logger
}

// Broker is a running broker.
type Broker struct {
	addr    string
	cluster *kfake.Cluster
	lock    *os.File // nil: no folder
	close   sync.Once
}

// Start starts a broker; it answers when Start returns. The errors are meant
// to be shown: a port in use, a folder in use, a folder that cannot be read.
func Start(cfg Config) (*Broker, error) {
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:9092"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	lock, err := lockDir(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	ln, err := listen(cfg.Listen)
	if err != nil {
		unlock(lock)
		return nil, err
	}
	cluster, err := open(cfg, ln)
	if err != nil {
		ln.Close()
		unlock(lock)
		return nil, err
	}
	return &Broker{addr: ln.Addr().String(), cluster: cluster, lock: lock}, nil
}

// Addr is host:port where the broker listens.
func (b *Broker) Addr() string { return b.addr }

// Close stops the broker and writes its data out.
func (b *Broker) Close() error {
	b.close.Do(func() {
		b.cluster.Close()
		unlock(b.lock)
	})
	return nil
}

func open(cfg Config, ln net.Listener) (cluster *kfake.Cluster, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = broken(cfg.DataDir, fmt.Errorf("%v", p))
		}
	}()
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return ln, nil }),
		kfake.ClusterID("troupe-embedded"),
		kfake.WithLogger(logger{cfg.Logger}),
		kfake.BrokerConfigs(map[string]string{"default.replication.factor": "1"}),
	}
	if cfg.DataDir != "" {
		opts = append(opts, kfake.DataDir(cfg.DataDir))
	}
	cluster, err = kfake.NewCluster(opts...)
	if err != nil {
		return nil, broken(cfg.DataDir, err)
	}
	return cluster, nil
}

func broken(dir string, err error) error {
	if dir == "" {
		return fmt.Errorf("embedded broker: %w", err)
	}
	return fmt.Errorf("embedded broker: the data in %s cannot be read: %w; remove that folder to start anew, or set --data", dir, err)
}

func listen(addr string) (net.Listener, error) {
	ln, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("embedded broker: %s is in use; stop what listens there, choose another address with --embedded, or use that broker with --brokers %s", addr, addr)
	case err != nil:
		return nil, fmt.Errorf("embedded broker: cannot listen on %s (--embedded): %w", addr, err)
	}
	return listener{ln}, nil
}

// lockDir makes the folder and keeps other processes out of it. The lock goes
// with the process, however it ends.
func lockDir(dir string) (*os.File, error) {
	if dir == "" {
		return nil, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("embedded broker: cannot make its data folder (--data): %w", err)
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("embedded broker: cannot use its data folder (--data): %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("embedded broker: another process uses %s; stop it, or set --data", dir)
		}
		return nil, fmt.Errorf("embedded broker: cannot lock %s: %w", path, err)
	}
	return f, nil
}

func unlock(f *os.File) {
	if f != nil {
		f.Close() // which lets the lock go
	}
}

// logger passes on what kfake has to say.
type logger struct{ log *slog.Logger }

var levels = map[kfake.LogLevel]slog.Level{
	kfake.LogLevelError: slog.LevelError,
	kfake.LogLevelWarn:  slog.LevelWarn,
}

// Logf logs errors and warnings.
func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	if at, ok := levels[level]; ok {
		l.log.Log(context.Background(), at, "embedded broker: "+fmt.Sprintf(format, args...))
	}
}
