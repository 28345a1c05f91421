package test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// readme returns the README's text.
func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// goRun runs the go command at the module's root and returns what it printed.
func goRun(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

var namedBlock = regexp.MustCompile("(?s)`(services/thanks/[a-z_]+\\.go)`:\n\n```go\n(.*?)```")

// TestTheReadmesSubscriberWorks adds the subscriber that the README shows to
// the tree, on an overlay, and runs its test: one folder, one line in
// services.go, and nothing else.
func TestTheReadmesSubscriberWorks(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	overlay := map[string]string{}
	add := func(path, text string) {
		file := filepath.Join(t.TempDir(), filepath.Base(path))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay[filepath.Join(root, path)] = file
	}
	blocks := namedBlock.FindAllStringSubmatch(readme(t), -1)
	if len(blocks) != 2 {
		t.Fatalf("the README has %d files of services/thanks, want the service and its test", len(blocks))
	}
	for _, b := range blocks {
		add(b[1], b[2])
	}
	if lines := strings.Count(blocks[0][2], "\n"); lines > 40 {
		t.Errorf("the subscriber has %d lines, want at most 40", lines)
	}
	list, err := os.ReadFile("../services/services.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(list), "services/thanks") { // somebody may have followed the README
		add("services/services.go", strings.NewReplacer(
			"\t\tshipping.Service(),\n", "\t\tshipping.Service(),\n\t\tthanks.Service(),\n",
			"services/shipping\"\n", "services/shipping\"\n\t\"github.com/troupedev/troupe/services/thanks\"\n",
		).Replace(string(list)))
	}

	text, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	goRun(t, "test", "-vet=off", "-overlay", file, "./services") // vet wants to be in the folder
	binary := filepath.Join(t.TempDir(), "thanks.test")          // built and run apart: its folder is not there to run in
	goRun(t, "test", "-vet=off", "-c", "-overlay", file, "-o", binary, "./services/thanks")
	if out, err := exec.CommandContext(t.Context(), binary).CombinedOutput(); err != nil {
		t.Errorf("the README's test fails: %v\n%s", err, out)
	}
	topology := goRun(t, "run", "-overlay", file, ".", "topology")
	if want := "orders.OrderPlaced/v1  -> notifications.NotificationSent/v1  where total between 10000 and 100000000"; !strings.Contains(topology, want) {
		t.Errorf("the topology lacks\n%s\nin\n%s", want, topology)
	}
}

var settingsTable = regexp.MustCompile(`(?s)<!-- troupe settings --markdown -->\n(.*?)<!-- end -->`)

func TestTheReadmesSettingsAreTrue(t *testing.T) {
	m := settingsTable.FindStringSubmatch(readme(t))
	if m == nil {
		t.Fatal("the README lacks its table of settings")
	}
	if want := goRun(t, "run", ".", "settings", "--markdown"); strings.TrimSpace(m[1]) != strings.TrimSpace(want) {
		t.Errorf("the README's settings are not those of `troupe settings --markdown`:\n%s", want)
	}
}
