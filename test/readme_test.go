package test

import (
	"os"
	"os/exec"
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
