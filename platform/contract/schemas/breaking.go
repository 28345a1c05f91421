package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/troupedev/troupe/platform/contract"
)

// topologyFile says which service hears and emits which version; `troupe
// topology --format json` writes it.
const topologyFile = "topology.json"

// topology is as much of topology.json as tells readers and writers.
type topology struct {
	Services []struct {
		Name   string
		Routes []struct {
			Emits []string
		}
		Reactions []struct {
			Hears string
			Emits []string
		}
	}
}

func loadTopology(file string) (topology, error) {
	var t topology
	text, err := os.ReadFile(file)
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(text, &t); err != nil {
		return t, fmt.Errorf("%s: %w; write it anew with make generate", file, err)
	}
	return t, nil
}

// readers are the services that hear a version; newest tells whether it is
// what hearing a whole domain means.
func (t topology) readers(subject string, version int, newest bool) []string {
	domain, _, _ := strings.Cut(subject, ".")
	name := fmt.Sprintf("%s/v%d", subject, version)
	var out []string
	for _, s := range t.Services {
		for _, r := range s.Reactions {
			if (r.Hears == name || newest && r.Hears == domain+".*") && !slices.Contains(out, s.Name) {
				out = append(out, s.Name)
			}
		}
	}
	return out
}

// writers are the services that emit a version.
func (t topology) writers(subject string, version int) []string {
	name := fmt.Sprintf("%s/v%d", subject, version)
	var out []string
	for _, s := range t.Services {
		emits := false
		for _, r := range s.Routes {
			emits = emits || slices.Contains(r.Emits, name)
		}
		for _, r := range s.Reactions {
			emits = emits || slices.Contains(r.Emits, name)
		}
		if emits {
			out = append(out, s.Name)
		}
	}
	return out
}

// breaking compares the folder with an earlier one, and says what the changes
// break: versions that are gone, and reads that would fail.
func breaking(old, now *contract.Folder, t topology) error {
	var faults []error
	for _, d := range old.Domains {
		for _, e := range d.Events {
			faults = append(faults, gone(e, now.Find(e.Subject()), t)...)
		}
	}
	for _, d := range now.Domains {
		for _, e := range d.Events {
			faults = append(faults, unreadable(old.Find(e.Subject()), e, t)...)
		}
	}
	return errors.Join(faults...)
}

// gone finds versions that were there, and now are not, or are others.
func gone(old, now *contract.Event, t topology) (faults []error) {
	for _, v := range old.Versions {
		var change string
		same := find(now, v.Number)
		switch {
		case same == nil:
			change = "was deleted, so its records can no longer be read"
		case same.ID != v.ID && v.Locked():
			change = "is locked and was changed, so records written before can no longer be read"
		case same.IsRetired() && !v.IsRetired():
			change = "is retired, so no service can be compiled that reads it"
			if len(t.readers(old.Subject(), v.Number, false)) == 0 {
				continue
			}
		default:
			continue
		}
		isNewest := v == old.Newest()
		faults = append(faults, fmt.Errorf("%s: v%d %s; %s", old.Subject(), v.Number, change,
			concerns("read by", t.readers(old.Subject(), v.Number, isNewest))))
	}
	return faults
}

// unreadable finds pairs of versions, at least one of them new, that do not
// read each other.
func unreadable(old, now *contract.Event, t topology) (faults []error) {
	for _, reader := range now.Versions {
		for _, writer := range now.Versions {
			if reader == writer || !isNew(old, reader) && !isNew(old, writer) {
				continue
			}
			services := t.readers(now.Subject(), reader.Number, reader == now.Newest())
			violations := reader.Reads(writer)
			if len(services) == 0 && !now.Demands(reader, writer) {
				continue // by domain.yaml nobody has to, and nobody does
			}
			for _, v := range violations {
				effect := "the read fails"
				if !v.Always {
					effect = "the read fails for events that have it"
				}
				faults = append(faults, fmt.Errorf("%w; %s, %s: %s", v, concerns("emitted by", t.writers(now.Subject(), writer.Number)),
					concerns("read by", services), effect))
			}
		}
	}
	return faults
}

func concerns(what string, services []string) string {
	if len(services) == 0 {
		return what + " no service"
	}
	return what + " " + strings.Join(services, ", ")
}

func isNew(old *contract.Event, v *contract.Version) bool {
	before := find(old, v.Number)
	return before == nil || before.ID != v.ID
}

func find(e *contract.Event, number int) *contract.Version {
	if e == nil {
		return nil
	}
	for _, v := range e.Versions {
		if v.Number == number {
			return v
		}
	}
	return nil
}

// breaking runs the command against a ref.
func (a *app) breaking(against string) error {
	old, err := a.at(against)
	if err != nil {
		return err
	}
	now, err := contract.Load(os.DirFS(a.dir), filepath.Base(a.dir))
	if err != nil {
		return err
	}
	file := filepath.Join(filepath.Dir(a.dir), topologyFile)
	t, err := loadTopology(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		fmt.Fprintf(a.out, "%s is not there, so services are not known; make generate writes it\n", file)
	case err != nil:
		return err
	}
	if err := breaking(old, now, t); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "nothing breaks against %s\n", against)
	return nil
}
