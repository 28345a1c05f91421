package choreo

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Setting is one setting of a service: a field of its Settings struct.
type Setting struct {
	Service  string `json:"service"`
	Variable string `json:"variable"` // in the environment: "ORDERS_LIMIT"
	Default  string `json:"default"`
	Doc      string `json:"doc"`
	Type     string `json:"type"` // in Go: "time.Duration"

	field string
}

// Settings are what can be set of a service, in the order of the struct's
// fields; none where Settings is nil or no pointer to a struct.
func Settings(s *Service) []Setting {
	var out []Setting
	for f := range settingFields(s.Settings) {
		variable, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		out = append(out, Setting{
			Service: s.Name, Variable: variable, Default: f.Tag.Get("default"), Doc: f.Tag.Get("doc"),
			Type: f.Type.String(), field: f.Name,
		})
	}
	return out
}

// settingFields goes through the fields of the struct that settings points to.
func settingFields(settings any) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		t := reflect.TypeOf(settings)
		if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
			return
		}
		for i := range t.Elem().NumField() {
			if !yield(t.Elem().Field(i)) {
				return
			}
		}
	}
}

var variableName = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// settingFaults says what is wrong with how the service declares its settings,
// defaults that do not fit their type among it.
func settingFaults(s *Service) (faults []error) {
	if s.Settings == nil {
		return nil
	}
	if t := reflect.TypeOf(s.Settings); t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return []error{fmt.Errorf("Settings is a %s; give a pointer to a struct", t)}
	}
	for f := range settingFields(s.Settings) {
		if !f.IsExported() {
			faults = append(faults, fmt.Errorf("Settings: field %s is not exported, so it cannot be set", f.Name))
		}
	}
	for _, setting := range Settings(s) {
		if !variableName.MatchString(setting.Variable) {
			faults = append(faults, fmt.Errorf("Settings: field %s has the env tag %q; give the variable's name, in upper case", setting.field, setting.Variable))
		}
		if setting.Doc == "" {
			faults = append(faults, fmt.Errorf("Settings: field %s has no doc tag; say what it sets", setting.field))
		}
	}
	if len(faults) > 0 {
		return faults
	}
	defaults := &Service{Name: s.Name, Settings: reflect.New(reflect.TypeOf(s.Settings).Elem()).Interface()}
	if _, required := errors.AsType[env.VarIsNotSetError](defaults.Configure(nil)); required {
		return nil // has no default, and needs none
	} else if err := defaults.Configure(nil); err != nil {
		return []error{fmt.Errorf("Settings: a default does not fit: %w", err)}
	}
	return nil
}

// Configure fills the service's Settings from environ; what it lacks, or has
// empty, gets its default. The error names the service and every variable
// that does not fit.
func (s *Service) Configure(environ map[string]string) error {
	if s.Settings == nil {
		return nil
	}
	if environ == nil {
		environ = map[string]string{} // nil would mean the process's own
	}
	err := env.ParseWithOptions(s.Settings, env.Options{Environment: environ, DefaultValueTagName: "default"})
	if err == nil {
		return nil
	}
	all, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	variables := map[string]string{}
	for _, setting := range Settings(s) {
		variables[setting.field] = setting.Variable
	}
	var faults []error
	for _, fault := range all.Errors {
		if parse, ok := errors.AsType[env.ParseError](fault); ok {
			fault = fmt.Errorf("%s does not fit %s: %w", variables[parse.Name], parse.Type, parse.Err)
		}
		faults = append(faults, fmt.Errorf("%s: %w", s.Name, fault))
	}
	return errors.Join(faults...)
}
