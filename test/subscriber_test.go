package test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// storeLines is how many lines a service with a database may have more than
// one without, its SQL aside.
const storeLines = 25

var subscriberFile = regexp.MustCompile("(?s)`(services/coupons/[a-z0-9_/.]+)`[^`]*:\n\n```[a-z]+\n(.*?)```")

// subscriber returns the files of the subscriber that the README shows, by path.
func subscriber(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, m := range subscriberFile.FindAllStringSubmatch(readme(t), -1) {
		files[m[1]] = m[2]
	}
	if len(files) != 3 {
		t.Fatalf("the README shows %d files of services/coupons, want the service, its table and its test", len(files))
	}
	return files
}

// TestTheReadmesSubscriberWorks takes coupons out of a copy of the tree, adds it
// again as the README says, and looks what that changed: nobody is touched.
func TestTheReadmesSubscriberWorks(t *testing.T) {
	root := copyWithoutCoupons(t)
	run := runIn(t, root)
	run("git", "init", "--quiet")
	run("git", "add", ".")
	run("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "--quiet", "--message", "without coupons")

	for path, text := range subscriber(t) {
		write(t, filepath.Join(root, path), text)
	}
	addToServices(t, filepath.Join(root, "services/services.go"))
	run("make", "generate")

	if got := strings.Fields(run("git", "status", "--porcelain")); !slices.Equal(got, []string{
		"M", "services/services.go", "M", "topology.json", "??", "services/coupons/",
	}) {
		t.Errorf("adding the subscriber changed %v, want its folder, services.go and what is generated from it", got)
	}
	if got := run("git", "diff", "--numstat", "services/services.go"); !strings.HasPrefix(got, "2\t0\t") {
		t.Errorf("services.go was changed by (lines added, removed) %s, want its import and its line", got)
	}
	run("go", "vet", "./services/coupons")
	run("go", "test", "./services/coupons")
	run("go", "test", "-run", "TestTheTopologyHoldsTogether", "./services")
	addAnother(t, root)
	run("make", "generate")
	run("go", "vet", "./services/...", "./test")
	run("go", "test", "-run", "TestWhoRegistersIsWelcomed", "./services")
	run("go", "test", "-run", "TestCompose|TestFilesAndFunctions|TestPackages|TestDesign", "./test")
	const edge = "users.UserRegistered/v1  -> coupons.CouponGranted/v1"
	if topology := run("go", "run", ".", "topology"); !strings.Contains(topology, edge) {
		t.Errorf("the topology lacks\n%s\nin\n%s", edge, topology)
	}
}

// addAnother adds a subscriber that the others' tests do not know: it grants a
// coupon to everybody who registers, and more mail is sent than they count.
func addAnother(t *testing.T, root string) {
	t.Helper()
	text, err := os.ReadFile("testdata/nostore/coupons.go")
	if err != nil {
		t.Fatal(err)
	}
	gifts := strings.NewReplacer("package coupons", "package gifts", `Name: "coupons"`, `Name: "gifts"`, "Package coupons", "Package gifts").Replace(string(text))
	write(t, filepath.Join(root, "services/gifts/gifts.go"), gifts)
	edit(t, filepath.Join(root, "services/services.go"), func(lines []string) (out []string) {
		for _, line := range lines {
			out = append(out, line)
			if strings.Contains(line, "/services/coupons") || strings.Contains(line, "coupons.Service()") {
				out = append(out, strings.ReplaceAll(line, "coupons", "gifts"))
			}
		}
		return out
	})
}

// runIn returns a function that runs a command in a folder and returns what it printed.
func runIn(t *testing.T, folder string) func(name string, args ...string) string {
	return func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), "TROUPE_SEEDS=50", "TROUPE_TEST_DATABASE=sqlite")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
}

// copyWithoutCoupons copies what `make generate` and the services' tests need,
// less the folder services/coupons and its lines in services.go.
func copyWithoutCoupons(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	copied := os.DirFS("..")
	err := fs.WalkDir(copied, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != "." && strings.HasPrefix(path, ".") || path == "dist" || path == "services/coupons" {
				return fs.SkipDir
			}
			return nil
		}
		text, err := fs.ReadFile(copied, path)
		if err == nil && !strings.HasPrefix(path, ".") {
			write(t, filepath.Join(root, path), string(text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(root, "services/services.go"), func(lines []string) []string {
		return slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, "coupons") })
	})
	return root
}

// addToServices adds what the README says beside the lines of users.
func addToServices(t *testing.T, path string) {
	t.Helper()
	edit(t, path, func(lines []string) (out []string) {
		for _, line := range lines {
			if strings.Contains(line, "/services/inventory") || strings.Contains(line, "users.Service()") {
				out = append(out, strings.NewReplacer("inventory", "coupons", "users", "coupons").Replace(line))
			}
			out = append(out, line)
		}
		return out
	})
}

func edit(t *testing.T, path string, change func(lines []string) []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, strings.Join(change(strings.Split(string(text), "\n")), "\n"))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestADatabaseTakesFewLines compares the README's subscriber with the same
// service without its database.
func TestADatabaseTakesFewLines(t *testing.T) {
	goRun(t, "vet", "./test/testdata/nostore")
	without, err := os.ReadFile("testdata/nostore/coupons.go")
	if err != nil {
		t.Fatal(err)
	}
	with := subscriber(t)["services/coupons/coupons.go"]
	if more := strings.Count(with, "\n") - strings.Count(string(without), "\n"); more > storeLines {
		t.Errorf("the database takes %d lines, want at most %d", more, storeLines)
	} else {
		t.Logf("the database takes %d lines", more)
	}
	if lines := strings.Count(with, "\n"); lines > 40 {
		t.Errorf("the README's subscriber has %d lines, want at most 40", lines)
	}
}
