package contract

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/troupedev/troupe/platform/event"
)

// Names of the files in a schemas folder.
const (
	DomainFile = "domain.yaml"
	LockFile   = "schemas.lock"
)

// Folder is a schemas folder: <domain>/domain.yaml, <domain>/schemas.lock and
// <domain>/<Event>/v<N>.avsc.
type Folder struct {
	Name    string // as messages call it: "schemas"
	Domains []*Domain
}

// Domain is one domain: one Kafka topic, one Go package of events.
type Domain struct {
	Topic  event.Topic
	Events []*Event // by name
	Lock   Lock

	folder *Folder
	broken []*Event // of which no version parses
}

// Event is one event with all its versions.
type Event struct {
	Domain        *Domain
	Name          string
	Versions      []*Version // from 1, oldest first
	External      bool       // emitted by somebody outside
	Retired       []int      // versions that no service may read any more
	Compatibility Compatibility
	Reason        string // why Compatibility is not the default

	broken []*Version // that do not parse
}

// Version is one version of an event.
type Version struct {
	Event       *Event
	Number      int
	Path        string // of the file, from where messages name it
	Text        []byte // of the file
	Schema      *Schema
	ID          int32  // on the wire
	Fingerprint string // for the lock
}

// Subject is the event's full name, which registries call subject: "orders.OrderPlaced".
func (e *Event) Subject() string { return e.Domain.Topic.Name + "." + e.Name }

// Newest is the version that is generated under the event's own name.
func (e *Event) Newest() *Version { return e.Versions[len(e.Versions)-1] }

// IsRetired reports whether the version is retired.
func (v *Version) IsRetired() bool { return slices.Contains(v.Event.Retired, v.Number) }

// all is d's events, and those of which no version parses.
func (d *Domain) all() []*Event { return slices.Concat(d.Events, d.broken) }

// numbers are those of e's versions, from the lowest, with those that do not parse.
func (e *Event) numbers() []int {
	var numbers []int
	for _, v := range slices.Concat(e.Versions, e.broken) {
		numbers = append(numbers, v.Number)
	}
	slices.Sort(numbers)
	return numbers
}

// GoName is the name of the Go type that the version is generated as.
func (v *Version) GoName() string {
	if v == v.Event.Newest() {
		return v.Event.Name
	}
	return v.Event.Name + "V" + itoa(v.Number)
}

// String is the version as messages name it: "v1 of OrderPlaced".
func (v *Version) String() string { return fmt.Sprintf("v%d of %s", v.Number, v.Event.Name) }

// Find looks an event up by its subject, nil if there is none.
func (f *Folder) Find(subject string) *Event {
	for _, d := range f.Domains {
		for _, e := range d.Events {
			if e.Subject() == subject {
				return e
			}
		}
	}
	return nil
}

// Load reads a schemas folder; messages call it name. The folder is never nil:
// what can be read is in it, and the error joins all that cannot, each fault
// naming its file. [Folder.Check] judges what was read.
func Load(fsys fs.FS, name string) (*Folder, error) {
	folder := &Folder{Name: name}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return folder, fmt.Errorf("%s: %w", name, err)
	}
	l := loader{fsys: fsys, folder: folder}
	for _, entry := range entries {
		switch {
		case strings.HasPrefix(entry.Name(), "."):
		case entry.IsDir():
			l.domain(entry.Name())
		default:
			l.fault(entry.Name(), errors.New("does not belong here: expected a folder for each domain"))
		}
	}
	return folder, errors.Join(l.faults...)
}

// loader reads a folder and collects what is wrong.
type loader struct {
	fsys   fs.FS
	folder *Folder
	faults []error
}

func (l *loader) fault(file string, err error) {
	l.faults = append(l.faults, fmt.Errorf("%s: %w", path.Join(l.folder.Name, file), err))
}

func (l *loader) domain(name string) {
	d := &Domain{Topic: event.Topic{Name: name}, folder: l.folder}
	l.folder.Domains = append(l.folder.Domains, d)
	entries, err := fs.ReadDir(l.fsys, name)
	if err != nil {
		l.fault(name, err)
		return
	}
	for _, entry := range entries {
		file := path.Join(name, entry.Name())
		switch {
		case strings.HasPrefix(entry.Name(), "."), entry.Name() == DomainFile, entry.Name() == LockFile:
		case entry.IsDir():
			l.event(d, entry.Name())
		default:
			l.fault(file, fmt.Errorf("does not belong here: expected %s, %s and a folder for each event", DomainFile, LockFile))
		}
	}
	l.settings(d)
	l.lock(d)
}

func (l *loader) settings(d *Domain) {
	file := path.Join(d.Topic.Name, DomainFile)
	text, err := fs.ReadFile(l.fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		err = errors.New("is missing: a domain says there who owns it")
	}
	if err != nil {
		l.fault(file, err)
		return
	}
	settings, faults := parseDomain(text)
	if settings != nil {
		faults = append(faults, settings.apply(d)...)
	}
	for _, err := range faults {
		l.fault(file, err)
	}
}

func (l *loader) lock(d *Domain) {
	file := path.Join(d.Topic.Name, LockFile)
	text, err := fs.ReadFile(l.fsys, file)
	if errors.Is(err, fs.ErrNotExist) {
		return // all versions are drafts
	}
	if err == nil {
		d.Lock, err = ParseLock(text)
	}
	if err != nil {
		l.fault(file, err)
	}
}

var versionFile = regexp.MustCompile(`^v([1-9][0-9]{0,3})\.avsc$`)

func (l *loader) event(d *Domain, name string) {
	e := &Event{Domain: d, Name: name}
	folder := path.Join(d.Topic.Name, name)
	entries, err := fs.ReadDir(l.fsys, folder)
	if err != nil {
		l.fault(folder, err)
		return
	}
	found := false
	for _, entry := range entries {
		file := path.Join(folder, entry.Name())
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		m := versionFile.FindStringSubmatch(entry.Name())
		if m == nil || entry.IsDir() {
			l.fault(file, errors.New("does not belong here: expected v1.avsc, v2.avsc and so on"))
			continue
		}
		found = true
		number, _ := strconv.Atoi(m[1]) // the expression lets nothing else through
		l.version(e, number, file)
	}
	if !found {
		l.fault(folder, errors.New("has no version: expected v1.avsc"))
	}
	byNumber := func(a, b *Version) int { return a.Number - b.Number }
	slices.SortFunc(e.Versions, byNumber)
	slices.SortFunc(e.broken, byNumber)
	switch {
	case len(e.Versions) > 0:
		d.Events = append(d.Events, e)
	case len(e.broken) > 0:
		d.broken = append(d.broken, e)
	}
}

func (l *loader) version(e *Event, number int, file string) {
	v := &Version{Event: e, Number: number, Path: path.Join(l.folder.Name, file)}
	text, err := fs.ReadFile(l.fsys, file)
	if err == nil {
		v.Text = text
		v.Schema, err = parseAll(text)
	}
	if err != nil {
		for _, fault := range unjoin(err) {
			l.fault(file, fault)
		}
		e.broken = append(e.broken, v)
		return
	}
	v.ID, v.Fingerprint = IDOf(e.Subject(), v.Schema), Fingerprint(e.Subject(), v.Schema)
	e.Versions = append(e.Versions, v)
}

// unjoin takes an error made by errors.Join apart.
func unjoin(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}
