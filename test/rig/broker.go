package rig

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	"github.com/twmb/franz-go/pkg/kgo"
)

// KafkaImage is the broker that runs where a Docker daemon answers.
const KafkaImage = "apache/kafka:4.3.1"

// Kinds of brokers that tests run on.
const (
	InContainer = "container" // Apache Kafka, in a container
	Embedded    = "embedded"  // what `troupe run` starts where no broker is named
)

// BrokerKind says what tests run on: what TROUPE_TEST_BROKER names, or else a
// container where a Docker daemon answers, and the embedded broker where none
// does.
func BrokerKind(ctx context.Context) (string, error) {
	switch kind := os.Getenv("TROUPE_TEST_BROKER"); kind {
	case InContainer, Embedded:
		return kind, nil
	case "":
	default:
		return "", fmt.Errorf("TROUPE_TEST_BROKER is %q; want %s, %s, or nothing", kind, InContainer, Embedded)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if dockerAnswers(ctx) {
		return InContainer, nil
	}
	return Embedded, nil
}

func dockerAnswers(ctx context.Context) (answers bool) {
	defer func() {
		if recover() != nil { // how the library says that it found no daemon
			answers = false
		}
	}()
	provider, err := testcontainers.NewDockerProvider(testcontainers.WithLogger(quiet))
	if err != nil {
		return false
	}
	defer provider.Close()
	return provider.Health(ctx) == nil
}

var quiet = log.New(io.Discard, "", 0)

// Broker is a broker that can go away and come back with what it held, at the
// same address.
type Broker interface {
	Addr() string // host:port
	Start(context.Context) error
	Stop(context.Context) error // in order
	Kill(context.Context) error // at once, as by SIGKILL
	Close() error               // ends it and throws its data away
	Output() string             // what it has logged
}

// kafkaContainer is Apache Kafka in a container, one node.
type kafkaContainer struct {
	addr      string
	container testcontainers.Container
}

// NewKafka starts Apache Kafka in a container.
func NewKafka(ctx context.Context) (Broker, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	c, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
		Logger:  quiet,
		Started: true,
		ContainerRequest: testcontainers.ContainerRequest{
			Image:        KafkaImage,
			ExposedPorts: []string{"9094/tcp"},
			Env:          kafkaSettings(addr),
			HostConfigModifier: func(h *container.HostConfig) {
				// A port of the host's that stays the same over a restart.
				h.PortBindings = network.PortMap{network.MustParsePort("9094/tcp"): {{
					HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: port,
				}}}
			},
		},
	})
	b := &kafkaContainer{addr: addr, container: c}
	if err == nil {
		err = b.ready(ctx)
	}
	if err != nil {
		_ = b.Close()
		return nil, fmt.Errorf("%s in a container: %w", KafkaImage, err)
	}
	return b, nil
}

func kafkaSettings(advertised string) map[string]string {
	return map[string]string{
		"KAFKA_NODE_ID":                                  "1",
		"KAFKA_PROCESS_ROLES":                            "broker,controller",
		"KAFKA_CONTROLLER_QUORUM_VOTERS":                 "1@localhost:9093",
		"KAFKA_CONTROLLER_LISTENER_NAMES":                "CONTROLLER",
		"KAFKA_LISTENERS":                                "INSIDE://:9092,CONTROLLER://:9093,OUTSIDE://:9094",
		"KAFKA_ADVERTISED_LISTENERS":                     "INSIDE://localhost:9092,OUTSIDE://" + advertised,
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP":           "INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT,OUTSIDE:PLAINTEXT",
		"KAFKA_INTER_BROKER_LISTENER_NAME":               "INSIDE",
		"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR":         "1",
		"KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS":             "4",
		"KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
		"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR":            "1",
		"KAFKA_AUTO_CREATE_TOPICS_ENABLE":                "false",
		"KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS":         "0",
		"KAFKA_HEAP_OPTS":                                "-Xms256m -Xmx512m",
	}
}

func (k *kafkaContainer) Addr() string { return k.addr }

func (k *kafkaContainer) Start(ctx context.Context) error {
	if err := k.container.Start(ctx); err != nil {
		return err
	}
	return k.ready(ctx)
}

func (k *kafkaContainer) ready(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(k.addr))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return Await(ctx, client.Ping)
}

func (k *kafkaContainer) Stop(ctx context.Context) error {
	patience := 30 * time.Second
	return k.container.Stop(ctx, &patience)
}

func (k *kafkaContainer) Kill(ctx context.Context) error {
	var none time.Duration // nothing is waited for before SIGKILL
	return k.container.Stop(ctx, &none)
}

func (k *kafkaContainer) Close() error { return testcontainers.TerminateContainer(k.container) }

func (k *kafkaContainer) Output() string {
	logs, err := k.container.Logs(context.Background())
	if err != nil {
		return err.Error()
	}
	defer logs.Close()
	text, _ := io.ReadAll(logs)
	return string(text)
}

type embeddedBroker struct {
	*Process
	addr string
}

// EmbeddedIn is the broker inside p, which listens on addr. It goes away and
// comes back with p and the services that run there.
func EmbeddedIn(p *Process, addr string) Broker { return &embeddedBroker{p, addr} }

func (e *embeddedBroker) Addr() string               { return e.addr }
func (e *embeddedBroker) Stop(context.Context) error { return e.Process.Stop() }
func (e *embeddedBroker) Kill(context.Context) error { return e.Process.Kill() }
