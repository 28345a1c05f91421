package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/troupedev/troupe/platform/contract"
)

// diff prints what changed between two folders, domain by domain; nothing if
// nothing did.
func diff(out io.Writer, old, now *contract.Folder) {
	names := []string{}
	for _, d := range slices.Concat(old.Domains, now.Domains) {
		names = append(names, d.Topic.Name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		was, is := domain(old, name), domain(now, name)
		var lines []string
		switch {
		case was == nil:
			lines = append(lines, "+ the domain, owned by "+is.Topic.Owner)
		case is == nil:
			lines = append(lines, "- the domain")
		default:
			lines = append(lines, settingsDiff(was, is)...)
		}
		lines = append(lines, eventsDiff(was, is)...)
		if len(lines) > 0 {
			fmt.Fprintf(out, "%s\n  %s\n", name, strings.Join(lines, "\n  "))
		}
	}
}

func domain(f *contract.Folder, name string) *contract.Domain {
	for _, d := range f.Domains {
		if d.Topic.Name == name {
			return d
		}
	}
	return nil
}

func settingsDiff(was, is *contract.Domain) (lines []string) {
	changed := func(what string, a, b any) {
		if a != b {
			lines = append(lines, fmt.Sprintf("~ %s: %v → %v", what, a, b))
		}
	}
	changed("owner", was.Topic.Owner, is.Topic.Owner)
	changed("doc", was.Topic.Doc, is.Topic.Doc)
	changed("partitions", was.Topic.Partitions, is.Topic.Partitions)
	changed("retention", was.Topic.Retention, is.Topic.Retention)
	changed("replication", was.Topic.Replication, is.Topic.Replication)
	return lines
}

func eventsDiff(was, is *contract.Domain) (lines []string) {
	before := events(was)
	after := events(is)
	for _, e := range before {
		if at(after, e.Name) == nil {
			lines = append(lines, "- "+e.Name)
		}
	}
	for _, e := range after {
		lines = append(lines, versionsDiff(at(before, e.Name), e)...)
	}
	return lines
}

func events(d *contract.Domain) []*contract.Event {
	if d == nil {
		return nil
	}
	return d.Events
}

func at(events []*contract.Event, name string) *contract.Event {
	for _, e := range events {
		if e.Name == name {
			return e
		}
	}
	return nil
}

func versionsDiff(was, is *contract.Event) (lines []string) {
	for _, v := range is.Versions {
		state := "draft"
		if v.Locked() {
			state = "locked"
		}
		before := find(was, v.Number)
		switch {
		case before == nil:
			lines = append(lines, fmt.Sprintf("+ %s v%d (%s)", is.Name, v.Number, state))
			if previous := find(is, v.Number-1); previous != nil {
				lines = append(lines, indent(fieldsDiff("", previous.Schema, v.Schema))...)
			}
		case before.ID != v.ID:
			lines = append(lines, fmt.Sprintf("~ %s v%d changed (%s)", is.Name, v.Number, state))
			lines = append(lines, indent(fieldsDiff("", before.Schema, v.Schema))...)
		case string(before.Text) != string(v.Text):
			lines = append(lines, fmt.Sprintf("~ %s v%d: docs only", is.Name, v.Number))
		}
		if before != nil && !before.Locked() && v.Locked() {
			lines = append(lines, fmt.Sprintf("~ %s v%d is locked now", is.Name, v.Number))
		}
	}
	if was != nil {
		for _, v := range was.Versions {
			if find(is, v.Number) == nil {
				lines = append(lines, fmt.Sprintf("- %s v%d", is.Name, v.Number))
			}
		}
	}
	return lines
}

func indent(lines []string) []string {
	for i := range lines {
		lines[i] = "    " + lines[i]
	}
	return lines
}

// fieldsDiff compares the fields of two records, and those of records in them.
func fieldsDiff(path string, was, is *contract.Schema) (lines []string) {
	for _, f := range was.Fields {
		if is.Field(f.Name) == nil {
			lines = append(lines, fmt.Sprintf("- %s%s: %s", path, f.Name, f.Type))
		}
	}
	for _, f := range is.Fields {
		name := path + f.Name
		before := was.Field(f.Name)
		switch {
		case before == nil && f.Default != nil:
			lines = append(lines, fmt.Sprintf("+ %s: %s, default %s", name, f.Type, f.Default))
		case before == nil:
			lines = append(lines, fmt.Sprintf("+ %s: %s, no default", name, f.Type))
		default:
			lines = append(lines, fieldDiff(name, before, f)...)
		}
	}
	return lines
}

func fieldDiff(name string, was, is *contract.SchemaField) (lines []string) {
	if string(was.Default) != string(is.Default) {
		lines = append(lines, fmt.Sprintf("~ %s: default %s → %s", name, orNone(was.Default), orNone(is.Default)))
	}
	if was.Type.Same(is.Type) {
		return lines
	}
	a, b := record(was.Type), record(is.Type)
	if a != nil && b != nil && was.Type.String() == is.Type.String() {
		return append(lines, fieldsDiff(name+".", a, b)...)
	}
	if was.Type.Kind == contract.KindEnum && is.Type.Kind == contract.KindEnum {
		return append(lines, fmt.Sprintf("~ %s: symbols %v → %v", name, was.Type.Symbols, is.Type.Symbols))
	}
	return append(lines, fmt.Sprintf("~ %s: %s → %s", name, was.Type, is.Type))
}

func orNone(def []byte) string {
	if def == nil {
		return "none"
	}
	return string(def)
}

// record is the record in a type: itself, an array's items, the other branch
// of a union with null; nil if there is none.
func record(s *contract.Schema) *contract.Schema {
	for s != nil && s.Kind != contract.KindRecord {
		if inner, _, ok := s.Nullable(); ok {
			s = inner
			continue
		}
		s = s.Items
	}
	return s
}
