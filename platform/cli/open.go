package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/console"
	"github.com/troupedev/troupe/platform/console/inbox"
	"github.com/troupedev/troupe/platform/kafka"
	"github.com/troupedev/troupe/platform/kafka/embedded"
	"github.com/troupedev/troupe/platform/runtime"
	"github.com/troupedev/troupe/platform/web"
)

// pingTimeout bounds the wait for a broker that was named.
const pingTimeout = 10 * time.Second

// openData takes the data folder for this process. With a broker elsewhere
// nothing is kept there, so a folder that another process has, or that cannot
// be written, is no obstacle: other commands do not find this process by it.
func (r *run) openData(ctx context.Context) error {
	err := r.takeData(ctx)
	if err != nil && len(r.config.Brokers) > 0 && ctx.Err() == nil {
		r.log.Debug("other commands will not find this process by its data folder", "reason", err)
		return nil
	}
	return err
}

func (r *run) takeData(ctx context.Context) error {
	data := r.config.Data
	err := os.MkdirAll(data, 0o700)
	var file *os.File
	if err == nil {
		file, err = os.OpenFile(lockPath(data), os.O_CREATE|os.O_RDWR, 0o600)
	}
	if err != nil {
		return fmt.Errorf("the data folder cannot be used (--data): %w", err)
	}
	taken, err := lock(ctx, file)
	if err == nil && !taken {
		err = fmt.Errorf("another troupe runs on the data folder %s; end it, or take another folder by --data", data)
	} else if err != nil {
		err = fmt.Errorf("the data folder cannot be locked (--data): %w", err)
	} else if err = os.Remove(runningPath(data)); errors.Is(err, fs.ErrNotExist) { // of a run that was killed
		err = nil
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	r.onClose("the data folder", func(context.Context) error { return file.Close() })
	r.about.PID = os.Getpid()
	return nil
}

// writeRunning tells other commands of this process, where there is a folder to do it in.
func (r *run) writeRunning() error {
	if r.about.PID == 0 {
		return nil
	}
	if err := r.about.write(r.config.Data); err != nil {
		return fmt.Errorf("the data folder cannot be written (--data): %w", err)
	}
	r.onClose("the data folder", func(context.Context) error { return os.Remove(runningPath(r.config.Data)) })
	return nil
}

// openInbox takes the mail of services that send some, where no server was named.
func (r *run) openInbox(context.Context) error {
	if r.config.SMTP != "" || !r.sendsMail() {
		return nil
	}
	in, err := inbox.Listen(inbox.Options{Logger: r.log})
	if err != nil {
		return err
	}
	r.onClose("the inbox", func(context.Context) error { return in.Close() })
	r.inbox = in
	r.environ[inbox.Setting] = in.URL()
	return nil
}

func (r *run) sendsMail() bool {
	for i := range r.services {
		for _, s := range choreo.Settings(&r.services[i]) {
			if s.Variable == inbox.Setting {
				return true
			}
		}
	}
	return false
}

// openBroker connects to the brokers that were named, else starts one.
func (r *run) openBroker(ctx context.Context) error {
	brokers := r.config.Brokers
	if len(brokers) == 0 {
		broker, err := embedded.Start(embedded.Config{
			Listen: r.config.Embedded, DataDir: filepath.Join(r.config.Data, "kafka"), Logger: r.log,
		})
		if err != nil {
			return err
		}
		r.onClose("the embedded broker", func(context.Context) error { return broker.Close() })
		brokers = []string{broker.Addr()}
	}
	client, err := kafka.New(kafka.Config{Brokers: brokers, Logger: r.log})
	if err != nil {
		return err
	}
	r.onClose("the connections to Kafka", func(context.Context) error { return client.Close() })
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		return err
	}
	producer, err := client.Producer(kafka.ProducerConfig{})
	if err != nil {
		return err
	}
	r.onClose("the producer", producer.Close)
	r.client, r.producer = client, producer
	r.about.Brokers, r.about.TopicPrefix, r.about.SMTP = brokers, r.config.TopicPrefix, r.smtpOf()
	return nil
}

// configureServices gives services their settings.
func (r *run) configureServices(context.Context) error {
	var faults []error
	for i := range r.services {
		faults = append(faults, r.services[i].Configure(r.environ))
	}
	return errors.Join(faults...)
}

// startServices lets services open their clients.
func (r *run) startServices(ctx context.Context) error {
	for i := range r.services {
		s := &r.services[i]
		if s.Start == nil {
			continue
		}
		if err := s.Start(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
	}
	return nil
}

func (r *run) openConsole(context.Context) error {
	handler := console.Handler(console.Options{
		Waiting: r.unready,
		Inbox:   r.inbox,
		Links:   []console.Link{{Name: "API", URL: "http://" + reachable(r.config.API) + web.PathDocs, Doc: "The services' HTTP, to read and to try."}},
	})
	server, err := web.Listen("console (--console)", r.config.Console, handler, r.log)
	if err != nil {
		return err
	}
	r.onClose("the console", server.Shutdown)
	r.about.Console = server.Addr()
	return nil
}

// openAPI listens for requests; until everything runs, they are told to wait.
func (r *run) openAPI(context.Context) error {
	databases := make(map[string]web.Database, len(r.databases))
	for service, db := range r.databases {
		databases[service] = db
	}
	handler, err := web.Handler(r.services, web.Options{
		Publish: r.publish, Databases: databases, Expects: r.directory.Expects, Known: r.topology, Logger: r.log,
	})
	if err != nil {
		return err
	}
	server, err := web.Listen("API (--api)", r.config.API, web.Gate(handler, r.state.waiting), r.log)
	if err != nil {
		return err
	}
	r.onClose("the API", func(ctx context.Context) error {
		// In time for requests that wait for a broker to be told so.
		defer time.AfterFunc(r.config.Drain*3/4, r.giveUp).Stop()
		ctx, cancel := context.WithTimeout(ctx, r.config.Drain) // handlers need time as well
		defer cancel()
		return server.Shutdown(ctx)
	})
	r.about.API = server.Addr()
	return nil
}

// publish puts what a route emitted on the broker.
func (r *run) publish(ctx context.Context, messages []choreo.Message) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.publishing, cancel)()
	return r.producer.Produce(ctx, runtime.Records(r.config.TopicPrefix, messages)...)
}

// openRuntime lets the services hear.
func (r *run) openRuntime(context.Context) error {
	r.heard = make(chan struct{})
	go func() {
		defer close(r.heard)
		err := runtime.Run(r.hearing, r.topology, runtime.Options{
			Client: r.client, Producer: r.producer, Services: r.services.Names(), Prefix: r.config.TopicPrefix,
			Concurrency: r.config.Concurrency, Drain: r.config.Drain, Logger: r.log, Ready: r.state.start,
			Health: &r.health, Databases: r.databases, Directory: r.directory,
		})
		if err != nil {
			r.failed <- err
		}
	}()
	return nil
}

// registerRuntime has the runtime closed after what is opened between now and
// openRuntime: requests end first, since what they emit may be heard here. It
// waits until what is in hand is finished.
func (r *run) registerRuntime(context.Context) error {
	var cancel context.CancelFunc
	r.hearing, cancel = context.WithCancel(context.Background())
	r.onClose("the runtime", func(ctx context.Context) error {
		cancel()
		if r.heard == nil {
			return nil
		}
		select {
		case <-r.heard:
		case <-ctx.Done():
			return errors.New("handlers are still at work; what they do is done again at the next start")
		}
		select {
		case err := <-r.failed: // while it ended, or nobody has heard of it yet
			return err
		default:
			return nil
		}
	})
	return nil
}
