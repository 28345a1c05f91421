// Schemas keeps the schemas folder: it checks it, locks versions, says what a
// change breaks, and generates the Go types of the events.
//
// It reads schemas and writes code; it imports neither events nor services, so
// that it runs when they do not compile. What is right and what is compatible
// is judged by package contract; here are the commands (main.go), the generator
// (generate.go, its types in types.go, its statements in code.go), and reading
// another git ref (git.go).
//
//	go tool schemas check | generate | lock | diff | breaking
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/troupedev/troupe/platform/contract"
)

func main() {
	if err := command(os.Stdout).Execute(); err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(os.Stderr, strings.TrimRight(line, "\n"))
		}
		os.Exit(1)
	}
}

// app is what all subcommands share: their flags, and where they print.
type app struct {
	out    io.Writer
	dir    string // the schemas folder
	events string // where the generated packages are
}

func command(out io.Writer) *cobra.Command {
	a := &app{out: out}
	root := &cobra.Command{
		Use: "schemas", Short: "Keep the schemas folder", SilenceUsage: true, SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.place(cmd) },
	}
	root.SetOut(out)
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentFlags().StringVar(&a.dir, "dir", "schemas", "the schemas folder; by default that at the module's root")
	root.PersistentFlags().StringVar(&a.events, "out", "events", "where generated packages go; by default at the module's root")
	root.AddCommand(a.checkCommand(), a.generateCommand(), a.lockCommand(), a.diffCommand(), a.breakingCommand())
	return root
}

// place makes the defaults of --dir and --out relative to the module's root, so
// that the command works from anywhere in it.
func (a *app) place(cmd *cobra.Command) error {
	root, err := moduleRoot()
	for flag, path := range map[string]*string{"dir": &a.dir, "out": &a.events} {
		if cmd.Flags().Changed(flag) {
			continue
		}
		if err != nil {
			return err
		}
		*path = filepath.Join(root, *path)
	}
	return nil
}

func moduleRoot() (string, error) {
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := at; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("there is no go.mod in %s or above it; say where the schemas are with --dir and --out", at)
		}
	}
}

// load reads the folder and judges it, with all faults at once.
func (a *app) load() (*contract.Folder, error) {
	folder, err := contract.Load(os.DirFS(a.dir), filepath.Base(a.dir))
	return folder, errors.Join(err, folder.Check())
}

func (a *app) checkCommand() *cobra.Command {
	var locked bool
	cmd := &cobra.Command{
		Use: "check", Short: "Judge the folder: names, docs, keys, locks, compatibility", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			folder, err := a.load()
			if locked {
				err = errors.Join(err, folder.CheckLocked())
			}
			if err != nil {
				return err
			}
			_, err = generate(folder) // finds names that collide in Go
			return err
		},
	}
	cmd.Flags().BoolVar(&locked, "locked", false, "fail if a version is still a draft")
	return cmd
}

func (a *app) lockCommand() *cobra.Command {
	return &cobra.Command{
		Use: "lock", Short: "Make all drafts final", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			folder, err := a.load()
			if err != nil {
				return err
			}
			for _, d := range folder.Domains {
				if err := a.lock(d); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (a *app) lock(d *contract.Domain) error {
	locking := d.Locking()
	if len(locking) == len(d.Lock) {
		return nil
	}
	for _, line := range locking[len(d.Lock):] {
		fmt.Fprintf(a.out, "%s v%d is final, with id %d\n", line.Subject, line.Version, line.ID)
	}
	return os.WriteFile(filepath.Join(a.dir, d.Topic.Name, contract.LockFile), []byte(locking.String()), 0o644)
}

func (a *app) diffCommand() *cobra.Command {
	var against string
	cmd := &cobra.Command{
		Use: "diff", Short: "Show what changed since another git ref", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			old, err := a.at(against)
			if err != nil {
				return err
			}
			now, err := contract.Load(os.DirFS(a.dir), filepath.Base(a.dir))
			if err != nil {
				return err
			}
			diff(a.out, old, now)
			return nil
		},
	}
	cmd.Flags().StringVar(&against, "against", "git:main", "git:REF to compare with")
	return cmd
}

func (a *app) breakingCommand() *cobra.Command {
	var against string
	cmd := &cobra.Command{
		Use: "breaking", Short: "Say what the changes since another git ref break, and for whom", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.breaking(against) },
	}
	cmd.Flags().StringVar(&against, "against", "git:main", "git:REF to compare with")
	return cmd
}

func (a *app) generateCommand() *cobra.Command {
	var check bool
	cmd := &cobra.Command{
		Use: "generate", Short: "Generate the Go types of all events", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			folder, err := a.load()
			if err != nil {
				return err
			}
			files, err := generate(folder)
			if err != nil {
				return err
			}
			if check {
				return drift(a.events, files)
			}
			return write(a.events, files)
		},
	}
	cmd.Flags().BoolVar(&check, "check", false, "write nothing; fail if the generated files are not what the schemas say")
	return cmd
}
