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

var (
	patternsSection = regexp.MustCompile(`(?s)\n## More patterns\n(.*?)\n## `)
	goBlock         = regexp.MustCompile("(?s)```go\n(.*?)```")
)

// TestTheReadmesPatternsAreTrue: what it shows is text of a package that
// compiles, and does what it says.
func TestTheReadmesPatternsAreTrue(t *testing.T) {
	source, err := os.ReadFile("testdata/patterns/patterns.go")
	if err != nil {
		t.Fatal(err)
	}
	section := patternsSection.FindString(readme(t))
	blocks := goBlock.FindAllStringSubmatch(section, -1)
	if len(blocks) < 5 {
		t.Errorf("the README shows %d patterns", len(blocks))
	}
	for _, block := range blocks {
		if !strings.Contains(unindented(string(source)), unindented(block[1])) {
			t.Errorf("test/testdata/patterns/patterns.go lacks\n%s", block[1])
		}
	}
	t.Setenv("TROUPE_SEEDS", "50")
	t.Setenv("TROUPE_TEST_DATABASE", "sqlite")
	goRun(t, "vet", "./test/testdata/patterns")
	goRun(t, "test", "./test/testdata/patterns")
}

// unindented is text without what its lines begin with.
func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimLeft(line, "\t")
	}
	return strings.Join(lines, "\n")
}
