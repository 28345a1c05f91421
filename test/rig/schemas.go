package rig

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hamba/avro/v2"
)

// Schema is one version of an event, as its file in the schemas folder says.
type Schema struct {
	ID      uint32 // from the lock
	Type    string // full name: "orders.OrderPlaced"
	Version int
	Key     string // the field that is the record's key

	avro avro.Schema
	api  avro.API
}

// Schemas is the schemas folder, read by nothing of the platform's.
type Schemas struct {
	domains []string
	byID    map[uint32]*Schema
}

// LoadSchemas reads a schemas folder with its locks.
func LoadSchemas(folder string) (*Schemas, error) {
	locks, err := filepath.Glob(filepath.Join(folder, "*", "schemas.lock"))
	if err != nil {
		return nil, err
	}
	if len(locks) == 0 {
		return nil, fmt.Errorf("%s: no domain has a schemas.lock", folder)
	}
	s := &Schemas{byID: map[uint32]*Schema{}}
	for _, path := range locks {
		s.domains = append(s.domains, filepath.Base(filepath.Dir(path)))
		if err := s.loadLock(path); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return s, nil
}

// loadLock reads the lines of a lock: id, subject, version, fingerprint.
func (s *Schemas) loadLock(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) < 3 {
			return fmt.Errorf("line %q has fewer than 3 fields", line)
		}
		id, err := strconv.ParseUint(f[0], 0, 31)
		if err != nil {
			return err
		}
		version, err := strconv.Atoi(strings.TrimPrefix(f[2], "v"))
		if err != nil {
			return err
		}
		_, event, _ := strings.Cut(f[1], ".")
		file := filepath.Join(filepath.Dir(path), event, fmt.Sprintf("v%d.avsc", version))
		schema, err := loadSchema(file)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		schema.ID, schema.Type, schema.Version = uint32(id), f[1], version
		s.byID[schema.ID] = schema
	}
	return nil
}

func loadSchema(path string) (*Schema, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var declared struct {
		Fields []struct {
			Name string `json:"name"`
			Key  bool   `json:"key"`
		} `json:"fields"`
	}
	if err := json.Unmarshal(text, &declared); err != nil {
		return nil, err
	}
	s := &Schema{}
	for _, f := range declared.Fields {
		if f.Key {
			s.Key = f.Name
		}
	}
	// A cache of its own: versions of an event share their names.
	s.avro, err = avro.ParseBytesWithCache(text, "", &avro.SchemaCache{})
	s.api = avro.Config{}.Freeze()
	return s, err
}

// Domains are the names of the domains, each of which has a topic.
func (s *Schemas) Domains() []string { return slices.Clone(s.domains) }

// Of returns the newest version of a type.
func (s *Schemas) Of(typ string) (newest *Schema, err error) {
	for _, schema := range s.byID {
		if schema.Type == typ && (newest == nil || schema.Version > newest.Version) {
			newest = schema
		}
	}
	if newest == nil {
		return nil, fmt.Errorf("no schema of %s is locked", typ)
	}
	return newest, nil
}

// Knows reports whether id is a schema's.
func (s *Schemas) Knows(id uint32) bool { return s.byID[id] != nil }

// Decode reads a record's value: 0x00, the schema's id in 4 bytes, Avro binary,
// and nothing behind it.
func (s *Schemas) Decode(value []byte) (*Schema, map[string]any, error) {
	switch {
	case len(value) < 5:
		return nil, nil, fmt.Errorf("%d bytes are too few", len(value))
	case value[0] != 0:
		return nil, nil, fmt.Errorf("the first byte is %#x, not 0", value[0])
	}
	schema := s.byID[binary.BigEndian.Uint32(value[1:])]
	if schema == nil {
		return nil, nil, fmt.Errorf("no schema has the id %d", binary.BigEndian.Uint32(value[1:]))
	}
	body := bytes.NewReader(value[5:])
	// One byte at a time, so that nothing is read ahead and what is left over shows.
	r := avro.NewReader(body, 1, avro.WithReaderConfig(schema.api))
	var fields map[string]any
	r.ReadVal(schema.avro, &fields)
	if r.Error != nil {
		return nil, nil, fmt.Errorf("%s: %w", schema.Type, r.Error)
	}
	if body.Len() > 0 {
		return nil, nil, fmt.Errorf("%s: %d bytes are left over", schema.Type, body.Len())
	}
	return schema, fields, nil
}

// Encode writes a record's value in the newest version of a type.
func (s *Schemas) Encode(typ string, fields map[string]any) ([]byte, error) {
	schema, err := s.Of(typ)
	if err != nil {
		return nil, err
	}
	body, err := schema.api.Marshal(schema.avro, fields)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", typ, err)
	}
	value := binary.BigEndian.AppendUint32([]byte{0}, schema.ID)
	return append(value, body...), nil
}
