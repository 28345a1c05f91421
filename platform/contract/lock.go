package contract

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Lock is a domain's schemas.lock: the versions that are final. A version that
// is not in it is a draft.
type Lock []LockLine

// LockLine is one version that is final.
type LockLine struct {
	ID          int32
	Subject     string
	Version     int
	Fingerprint string
}

const lockHeader = "# Versions that are final, written by `go tool schemas lock`: id, subject, version, fingerprint.\n"

// ParseLock reads the text of a schemas.lock.
func ParseLock(text []byte) (Lock, error) {
	var lock Lock
	var faults []error
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		l, err := parseLockLine(line)
		if err == nil && lock.find(l.Subject, l.Version) != nil {
			err = fmt.Errorf("%s v%d is there twice", l.Subject, l.Version)
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		lock = append(lock, l)
	}
	return lock, errors.Join(faults...)
}

func parseLockLine(line string) (LockLine, error) {
	words := strings.Fields(line)
	if len(words) != 4 {
		return LockLine{}, fmt.Errorf("expected an id, a subject, a version and a fingerprint, found %q", line)
	}
	id, err1 := strconv.ParseInt(words[0], 10, 32)
	version, err2 := strconv.Atoi(words[2])
	if err1 != nil || err2 != nil || id < 1 || version < 1 {
		return LockLine{}, fmt.Errorf("id and version must be numbers from 1, found %q", line)
	}
	return LockLine{int32(id), words[1], version, words[3]}, nil
}

// String is the text of a schemas.lock, sorted by subject and version.
func (l Lock) String() string {
	lines := slices.Clone(l)
	slices.SortFunc(lines, func(a, b LockLine) int {
		if c := strings.Compare(a.Subject, b.Subject); c != 0 {
			return c
		}
		return a.Version - b.Version
	})
	var b strings.Builder
	b.WriteString(lockHeader)
	for _, line := range lines {
		fmt.Fprintf(&b, "%d %s %d %s\n", line.ID, line.Subject, line.Version, line.Fingerprint)
	}
	return b.String()
}

func (l Lock) find(subject string, version int) *LockLine {
	for i := range l {
		if l[i].Subject == subject && l[i].Version == version {
			return &l[i]
		}
	}
	return nil
}

// Locked reports whether the version is final.
func (v *Version) Locked() bool { return v.Event.Domain.Lock.find(v.Event.Subject(), v.Number) != nil }

// Locking is the domain's lock with all its versions in it.
func (d *Domain) Locking() Lock {
	lock := slices.Clone(d.Lock)
	for _, e := range d.Events {
		for _, v := range e.Versions {
			if !v.Locked() {
				lock = append(lock, LockLine{v.ID, e.Subject(), v.Number, v.Fingerprint})
			}
		}
	}
	return lock
}

// checkLock compares the folder with what the lock says is final.
func (d *Domain) checkLock() (faults []error) {
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s: "+format, append([]any{d.Topic.Name}, args...)...))
	}
	for _, line := range d.Lock {
		domain, name, _ := strings.Cut(line.Subject, ".")
		if domain != d.Topic.Name {
			fault("%s: %s is of another domain", LockFile, line.Subject)
			continue
		}
		v := d.version(name, line.Version)
		switch {
		case v == nil && d.isBroken(name, line.Version):
			fault("v%d of %s is locked and was changed: it does not parse any more; restore v%d.avsc", line.Version, name, line.Version)
		case v == nil:
			fault("v%d of %s is locked and was deleted; restore v%d.avsc", line.Version, name, line.Version)
		case v.Fingerprint != line.Fingerprint:
			fault("v%d of %s is locked and was changed; add v%d.avsc", line.Version, name, slices.Max(v.Event.numbers())+1)
		case v.ID != line.ID:
			fault("%s: v%d of %s has id %d, not %d; restore its line", LockFile, line.Version, name, v.ID, line.ID)
		}
	}
	return faults
}

// isBroken reports whether the version is there and does not parse.
func (d *Domain) isBroken(name string, number int) bool {
	return slices.ContainsFunc(d.all(), func(e *Event) bool {
		return e.Name == name && slices.ContainsFunc(e.broken, func(v *Version) bool { return v.Number == number })
	})
}

// version finds a version that parses, nil if there is none.
func (d *Domain) version(name string, number int) *Version {
	for _, e := range d.Events {
		for _, v := range e.Versions {
			if e.Name == name && v.Number == number {
				return v
			}
		}
	}
	return nil
}
