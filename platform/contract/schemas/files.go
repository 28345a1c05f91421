package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// write brings the folder to the files given: it writes those that differ, and
// removes generated ones that are no longer made. What is not generated stays.
func write(dir string, files map[string][]byte) error {
	old, err := generated(dir)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if bytes.Equal(old[name], files[name]) {
			continue
		}
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, files[name], 0o644); err != nil {
			return err
		}
	}
	for name := range old {
		if files[name] == nil {
			if err := os.Remove(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
				return err
			}
		}
	}
	return nil
}

// drift says which generated files are not what they would be.
func drift(dir string, files map[string][]byte) error {
	old, err := generated(dir)
	if err != nil {
		return err
	}
	var faults []error
	fault := func(name, what string) {
		faults = append(faults, fmt.Errorf("%s %s; run go generate ./events", filepath.ToSlash(filepath.Join(filepath.Base(dir), name)), what))
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		switch was, ok := old[name]; {
		case !ok:
			fault(name, "is missing")
		case !bytes.Equal(was, files[name]):
			fault(name, "is not what the schemas say")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if files[name] == nil {
			fault(name, "is of an event or domain that the schemas do not have")
		}
	}
	return errors.Join(faults...)
}

// generated reads the generated files of a folder, by path with slashes.
func generated(dir string) (map[string][]byte, error) {
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && file == dir {
			return fs.SkipAll
		}
		if err != nil || entry.IsDir() || !strings.HasSuffix(file, ".go") {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil || !bytes.HasPrefix(text, []byte(strings.TrimSpace(header))) {
			return err
		}
		name, err := filepath.Rel(dir, file)
		out[filepath.ToSlash(name)] = text
		return err
	})
	return out, err
}
