package test

import (
	"slices"
	"strings"
	"testing"
)

const module = "github.com/troupedev/troupe/"

// layers are the platform's packages: each imports only those above it.
var layers = []string{
	"platform/event",
	"platform/contract",
	"platform/contract/schemas",
	"platform/choreo",
	"platform/testmain",
	"platform/kafka",
	"platform/kafka/embedded",
	"platform/kafka/kafkatest",
	"platform/failpoint",
	"platform/store",
	"platform/web",
	"platform/runtime",
	"platform/console",
	"platform/cli",
	"platform/choreotest",
}

// layer is the place of the package at path among the layers: that of the
// longest name that path begins with, -1 where it is no package of the platform's.
func layer(path string) int {
	best := -1
	for i, name := range layers {
		within := path == name || strings.HasPrefix(path, name+"/")
		if within && (best < 0 || len(name) > len(layers[best])) {
			best = i
		}
	}
	return best
}

// mayImport says whether a file in folder may import the module's own package
// at path, and if not, by which rule.
func mayImport(folder string, isTest bool, path string) string {
	switch {
	case within(folder, "test"):
		return ""
	case within(folder, "platform"):
		if within(path, "events") || within(path, "services") {
			return "the platform knows no events and no services"
		}
		// A test may stand on whatever helps it.
		if !isTest && layer(path) > layer(folder) {
			return "a package imports only those above it: " + strings.Join(layers, ", ")
		}
	case within(folder, "events"):
		if !slices.Contains([]string{"platform/event", "platform/contract"}, path) {
			return "generated events import event and contract alone"
		}
	case within(folder, "services") && !within(path, "services") && !within(path, "events"):
		allowed := []string{"platform/event", "platform/choreo", "platform/store", "platform/web"}
		if isTest {
			allowed = append(allowed, "platform/choreotest", "platform/store/storetest", "platform/testmain")
		}
		if !slices.Contains(allowed, path) {
			return "services import " + strings.Join(allowed, ", ") + " and events"
		}
	case within(folder, "services") && folder != "services" && within(path, "services") && path != folder:
		if within(folder, "services/internal") || !within(path, "services/internal") {
			return "services do not know each other; what they share is in services/internal"
		}
	}
	return ""
}

func within(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}

// wrapped are libraries that one package alone imports, so that nothing else
// has to know their faults. Tests, and tools for tests, may use them to look at
// it from the outside.
var wrapped = []struct {
	library string
	in      []string
}{
	{"github.com/hamba/avro", []string{"platform/contract"}},
	{"github.com/segmentio/kafka-go", []string{"platform/kafka"}},
	{"github.com/twmb/franz-go/pkg/kmsg", []string{"platform/kafka"}},
	{"github.com/twmb/franz-go", []string{"platform/kafka/embedded"}},
	{"github.com/danielgtaylor/huma", []string{"platform/web", "services"}},
	{"github.com/spf13/cobra", []string{"platform/cli", "platform/contract/schemas"}},
	{"github.com/testcontainers/testcontainers-go", []string{"platform/testmain", "platform/kafka/kafkatest", "platform/store/storetest"}},
	{"github.com/jackc/pgx", []string{"platform/store"}},
	{"modernc.org/sqlite", []string{"platform/store"}},
	{"github.com/pressly/goose", []string{"platform/store"}},
}

func mayUse(folder, library string) string {
	if within(folder, "test") {
		return ""
	}
	for _, w := range wrapped {
		if !within(library, w.library) {
			continue
		}
		if !slices.ContainsFunc(w.in, func(p string) bool { return within(folder, p) }) {
			return w.library + " is imported by " + strings.Join(w.in, ", ") + " alone"
		}
		return ""
	}
	return ""
}

func TestPackagesImportOnlyThoseAboveThem(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, spec := range f.syntax.Imports {
			imported := strings.Trim(spec.Path.Value, `"`)
			var fault string
			if path, own := strings.CutPrefix(imported, module); own {
				fault = mayImport(f.folder, f.isTest, path)
			} else if !f.isTest {
				fault = mayUse(f.folder, imported)
			}
			if fault != "" {
				t.Errorf("%s imports %s: %s", f.path, imported, fault)
			}
		}
	}
}

func TestEveryPlatformPackageHasALayer(t *testing.T) {
	for _, f := range goFiles(t) {
		if within(f.folder, "platform") && layer(f.folder) < 0 {
			t.Errorf("%s: its package is missing from layers", f.path)
		}
	}
}

func TestImportRulesRefuseWhatTheyShould(t *testing.T) {
	for _, c := range []struct {
		name, folder, path string
		isTest, refused    bool
	}{
		{"down", "platform/runtime", "platform/kafka", false, false},
		{"up", "platform/kafka", "platform/runtime", false, true},
		{"up, from a test", "platform/kafka", "platform/kafka/embedded", true, false},
		{"within a package's folder", "platform/console", "platform/console/inbox", false, false},
		{"platform to services", "platform/cli", "services/orders", false, true},
		{"platform to events, from a test", "platform/cli", "events/orders", true, true},
		{"service to declaration", "services/orders", "platform/choreo", false, false},
		{"service to runtime", "services/orders", "platform/runtime", false, true},
		{"service to choreotest", "services/orders", "platform/choreotest", false, true},
		{"service's test to choreotest", "services/orders", "platform/choreotest", true, false},
		{"service to service", "services/orders", "services/payments", false, true},
		{"service to what services share", "services/orders", "services/internal/account", false, false},
		{"what services share to service", "services/internal/account", "services/orders", false, true},
		{"list to service", "services", "services/payments", false, false},
		{"event to choreo", "events/orders", "platform/choreo", false, true},
	} {
		if got := mayImport(c.folder, c.isTest, c.path); (got != "") != c.refused {
			t.Errorf("%s: %s to %s: %q", c.name, c.folder, c.path, got)
		}
	}
}
