package test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/troupedev/troupe/test/rig"
)

// Bounds of what a reader is asked to take in at once, in lines.
const (
	fileLines     = 600
	functionLines = 60
)

// file is one Go file of the tree.
type file struct {
	path, folder string // from the project's folder
	text         string
	syntax       *ast.File
	fset         *token.FileSet
	isTest       bool
	generated    bool
}

// goFiles parses every Go file of the tree but what lies in testdata.
func goFiles(t *testing.T) []file {
	t.Helper()
	root, err := rig.Root()
	if err != nil {
		t.Fatal(err)
	}
	var out []file
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); path != root && (name == "testdata" || strings.HasPrefix(name, ".")) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		f, err := parse(root, path)
		out = append(out, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func parse(root, path string) (file, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return file{}, err
	}
	f := file{text: string(text), fset: token.NewFileSet()}
	if f.path, err = filepath.Rel(root, path); err != nil {
		return file{}, err
	}
	f.path = filepath.ToSlash(f.path)
	f.folder = filepath.ToSlash(filepath.Dir(f.path))
	f.isTest = strings.HasSuffix(path, "_test.go")
	f.syntax, err = parser.ParseFile(f.fset, path, text, parser.ParseComments)
	if err == nil {
		f.generated = ast.IsGenerated(f.syntax)
	}
	return f, err
}

func TestFilesAndFunctionsAreShort(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.generated {
			continue
		}
		if n := strings.Count(f.text, "\n"); n > fileLines {
			t.Errorf("%s has %d lines, %d are the limit", f.path, n, fileLines)
		}
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || f.isTest { // a table of cases may be as long as it has cases
				continue
			}
			if n := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1; n > functionLines {
				t.Errorf("%s: %s has %d lines, %d are the limit", f.fset.Position(fn.Pos()), fn.Name.Name, n, functionLines)
			}
		}
	}
}

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	vague := []string{"util", "utils", "common", "helper", "helpers", "misc", "internal2"}
	said := map[string]bool{}
	for _, f := range goFiles(t) {
		if slices.Contains(vague, f.syntax.Name.Name) {
			t.Errorf("%s: package %s is named for nothing", f.path, f.syntax.Name.Name)
		}
		if f.isTest {
			continue
		}
		said[f.folder] = said[f.folder] || f.syntax.Doc != nil
	}
	for folder, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment", folder)
		}
	}
}

func TestNothingRegistersItself(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: init runs unasked", f.fset.Position(fn.Pos()))
			}
		}
	}
}

func TestTestsNeitherSleepNorSkip(t *testing.T) {
	skips := []string{"Skip", "Skipf", "SkipNow", "SkipIfProviderIsNotHealthy"}
	for _, f := range goFiles(t) {
		if !f.isTest && !within(f.folder, "test") {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			selector, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			receiver, _ := selector.X.(*ast.Ident)
			switch {
			case receiver != nil && receiver.Name == "time" && selector.Sel.Name == "Sleep":
				t.Errorf("%s: a test that sleeps is slow or fails at random", f.fset.Position(call.Pos()))
			case receiver != nil && slices.Contains(skips, selector.Sel.Name):
				t.Errorf("%s: a test that skips says nothing", f.fset.Position(call.Pos()))
			}
			return true
		})
	}
}

// The word is split, so that this file does not find itself.
var unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)

func TestNothingIsLeftForLater(t *testing.T) {
	for _, f := range goFiles(t) {
		if at := unfinished.FindStringIndex(f.text); at != nil {
			t.Errorf("%s:%d: %s", f.path, 1+strings.Count(f.text[:at[0]], "\n"), f.text[at[0]:at[1]])
		}
	}
}

func TestDesignNamesEveryPackage(t *testing.T) {
	root, err := rig.Root()
	if err != nil {
		t.Fatal(err)
	}
	design, err := os.ReadFile(filepath.Join(root, "DESIGN.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{".": true}
	for _, f := range goFiles(t) {
		// Events and services are named as one: there will be many of them.
		folder := f.folder
		for _, many := range []string{"events", "services"} {
			if within(folder, many) {
				folder = many
			}
		}
		if strings.Contains(folder, "/internal/") {
			continue // what a package has for its own tests
		}
		if !seen[folder] && !names(string(design), folder) {
			t.Errorf("DESIGN.md does not say what lives in %s", folder)
		}
		seen[folder] = true
	}
}

// names reports whether text names a package by its path, with or without what
// the file map stands under.
func names(text, folder string) bool {
	short := strings.TrimPrefix(folder, "platform/")
	return regexp.MustCompile("(^|[\\s`(|/])" + regexp.QuoteMeta(short) + "/?([\\s`)|.,:/]|$)").MatchString(text)
}
