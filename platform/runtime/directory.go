package runtime

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/troupedev/troupe/platform/choreo"
	"github.com/troupedev/troupe/platform/event"
	"github.com/troupedev/troupe/platform/kafka"
)

// Announcement is what a running service tells the others: its declaration, as
// JSON on [choreo.AnnouncementTopic], with the service's name as key. The topic
// is compacted, and a tombstone takes a service off it.
type Announcement struct {
	choreo.ServiceView
	Announced time.Time `json:"announced"`
}

// Directory knows which services there are: those of this process, and those
// that others announced. Make it by [NewDirectory] and give it to [Run], which
// announces and follows what is announced; until Run is ready, and without it,
// it knows the services of this process alone. It is for many goroutines.
type Directory struct {
	mu        sync.RWMutex
	own       map[string]choreo.ServiceView
	announced map[string]Announcement
	gathered  map[string][]string // who answers, by full name of each event whose answers are gathered
}

// NewDirectory returns a directory of the services that run in this process.
func NewDirectory(services choreo.Topology) *Directory {
	d := &Directory{own: map[string]choreo.ServiceView{}, announced: map[string]Announcement{}}
	d.runs(services)
	return d
}

// runs adds services that run in this process.
func (d *Directory) runs(services choreo.Topology) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range services {
		d.own[services[i].Name] = services[i].View()
	}
	d.index()
}

// Expects are the services that are to answer an event of type t, by name:
// those that hear it and emit what some service gathers for it. It is nil where
// no service gathers, and empty where one does and none answers.
func (d *Directory) Expects(t *event.Type) []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.gathered[t.FullName()]
}

// Answering are the services that answer requests of type t, by name.
func (d *Directory) Answering(t *event.Type) []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.having(func(r *choreo.ReactionView) bool { return r.Answers != "" && fullName(r.Hears) == t.FullName() })
}

// having are the services with such a reaction, by name; not nil. The lock is held.
func (d *Directory) having(is func(*choreo.ReactionView) bool) []string {
	names := []string{}
	for name, s := range d.known() {
		for i := range s.Reactions {
			if is(&s.Reactions[i]) {
				names = append(names, name)
				break
			}
		}
	}
	slices.Sort(names)
	return names
}

// known are all services; of those that run here and elsewhere, the declaration
// here. The lock is held.
func (d *Directory) known() map[string]choreo.ServiceView {
	all := make(map[string]choreo.ServiceView, len(d.own)+len(d.announced))
	for name, a := range d.announced {
		all[name] = a.ServiceView
	}
	maps.Copy(all, d.own)
	return all
}

// index makes Expects, which is asked at each event that is emitted, a look
// into a map. The lock is held.
func (d *Directory) index() {
	d.gathered = map[string][]string{}
	for _, s := range d.known() {
		for _, r := range s.Reactions {
			if r.Gathers == "" {
				continue
			}
			request, answer := fullName(r.Hears), fullName(r.Gathers)
			all := append(d.having(func(r *choreo.ReactionView) bool { return answers(r, request, answer) }), d.gathered[request]...)
			slices.Sort(all)
			d.gathered[request] = slices.Compact(all)
		}
	}
}

// answers reports whether a reaction hears a request and emits what is gathered for it.
func answers(r *choreo.ReactionView, request, answer string) bool {
	domain, _, _ := strings.Cut(request, ".")
	hears := fullName(r.Hears) == request || r.Hears == domain+".*"
	return hears && r.Gathers == "" && slices.ContainsFunc(r.Emits, func(e string) bool { return fullName(e) == answer })
}

// fullName is a type without its version.
func fullName(typ string) string {
	name, _, _ := strings.Cut(typ, "/")
	return name
}

// hear takes in one record of the topic.
func (d *Directory) hear(r *kafka.Record) error {
	a, err := parseAnnouncement(r)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Value == nil {
		delete(d.announced, string(r.Key))
	} else {
		d.announced[a.Name] = a
	}
	d.index()
	return nil
}

// parseAnnouncement reads a record of the topic; of a tombstone, only the key counts.
func parseAnnouncement(r *kafka.Record) (a Announcement, err error) {
	if r.Value == nil {
		return a, nil
	}
	if err := json.Unmarshal(r.Value, &a); err != nil {
		return a, fmt.Errorf("not an announcement: %w", err)
	}
	if a.Name == "" || a.Name != string(r.Key) {
		return a, fmt.Errorf("not an announcement: its key is %.40q, and the service's name %.40q", r.Key, a.Name)
	}
	return a, nil
}

// announce tells all services of this process to the others.
func (d *Directory) announce(ctx context.Context, p *kafka.Producer, prefix string) error {
	d.mu.RLock()
	own := maps.Clone(d.own) // the broker may take its time, and emitters ask meanwhile
	d.mu.RUnlock()
	var records []kafka.Record
	for _, name := range slices.Sorted(maps.Keys(own)) {
		value, err := json.Marshal(Announcement{own[name], time.Now().UTC()})
		if err != nil {
			return fmt.Errorf("announcing %s: %w", name, err)
		}
		records = append(records, kafka.Record{Topic: choreo.AnnouncementTopic(prefix), Key: []byte(name), Value: value})
	}
	if len(records) == 0 {
		return nil
	}
	if err := p.Produce(ctx, records...); err != nil {
		return fmt.Errorf("announcing services on %s: %w", choreo.AnnouncementTopic(prefix), err)
	}
	return nil
}

// follow takes in announcements from the first one on until ctx ends, and calls
// caughtUp, once, when it has come to where the topic ended before.
func (d *Directory) follow(ctx context.Context, c *kafka.Client, prefix string, log *slog.Logger, caughtUp func()) {
	topic := choreo.AnnouncementTopic(prefix)
	tell := sync.OnceFunc(caughtUp)
	for ctx.Err() == nil {
		err := readAll(ctx, c, topic, tell, func(r *kafka.Record) {
			if err := d.hear(r); err != nil {
				log.Warn("an announcement is passed over", "topic", topic, "offset", r.Offset, "error", err)
			}
		})
		if ctx.Err() == nil {
			log.Error("announcements cannot be read; trying again", "topic", topic, "error", err)
			pause(ctx, readAgain)
		}
	}
}

// readAll reads a topic of one partition from its start until ctx ends or
// something is wrong, and calls atEnd whenever it has come to where the topic
// ended when it began.
func readAll(ctx context.Context, c *kafka.Client, topic string, atEnd func(), hear func(*kafka.Record)) error {
	starts, ends, err := c.Ends(ctx, topic)
	if err != nil {
		return err
	}
	at, end := starts[0], ends[0]
	reader := c.Read(kafka.TopicPartition{Topic: topic}, at)
	defer reader.Close()
	for {
		if at >= end {
			atEnd()
		}
		batch, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		for i := range batch.Records {
			hear(&batch.Records[i])
		}
		at = batch.Next
	}
}

// Announced returns what is announced, by name. It is empty where no service
// has ever run.
func Announced(ctx context.Context, c *kafka.Client, prefix string) ([]Announcement, error) {
	d, err := ReadDirectory(ctx, c, prefix)
	if err != nil {
		return nil, err
	}
	return slices.SortedFunc(maps.Values(d.announced), func(a, b Announcement) int { return cmp.Compare(a.Name, b.Name) }), nil
}

// ReadDirectory returns a directory of what is announced by now, for whoever runs
// no service. It follows nothing.
func ReadDirectory(ctx context.Context, c *kafka.Client, prefix string) (*Directory, error) {
	d := NewDirectory(nil)
	topic := choreo.AnnouncementTopic(prefix)
	names, err := c.Topics(ctx)
	if err != nil {
		return nil, fmt.Errorf("announced services: %w", err)
	}
	if !slices.Contains(names, topic) {
		return d, nil
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	err = readAll(reading, c, topic, stop, func(r *kafka.Record) { _ = d.hear(r) }) // what is none is passed over
	if ctx.Err() != nil || !errors.Is(err, context.Canceled) {
		return nil, fmt.Errorf("announced services: topic %s: %w", topic, cmp.Or(context.Cause(ctx), err))
	}
	return d, nil
}

// Runs reports whether some process runs a service: whether one of its groups has
// a member. One whose process died has it until the session ends. A service that
// hears nothing never runs, as far as this tells.
func Runs(ctx context.Context, c *kafka.Client, prefix, name string) (bool, error) {
	for _, group := range []string{choreo.GroupName(prefix, name), choreo.AnswerGroup(prefix, name)} {
		if n, err := c.Members(ctx, group); n > 0 || err != nil {
			return n > 0, err
		}
	}
	return false, nil
}

// Forget takes a service off what is announced, for one that will not run
// again: nobody waits for its answers any longer. The error says so where no
// service of that name is announced.
func Forget(ctx context.Context, c *kafka.Client, prefix, name string) (err error) {
	announced, err := Announced(ctx, c, prefix)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(announced, func(a Announcement) bool { return a.Name == name }) {
		return fmt.Errorf("service %q is not announced; `troupe services` lists those that are", name)
	}
	p, err := c.Producer(kafka.ProducerConfig{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close(ctx)) }()
	if err := p.Produce(ctx, kafka.Record{Topic: choreo.AnnouncementTopic(prefix), Key: []byte(name)}); err != nil {
		return fmt.Errorf("forgetting %s: %w", name, err)
	}
	return nil
}
