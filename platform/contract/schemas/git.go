package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/troupedev/troupe/platform/contract"
)

// at loads the schemas folder as it is at "git:REF". It is not judged: what
// was wrong then does not matter now. A folder that the ref lacks is empty.
func (a *app) at(against string) (*contract.Folder, error) {
	temp, err := os.MkdirTemp("", "schemas")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	if err := checkout(against, a.dir, temp); err != nil {
		return nil, fmt.Errorf("--against %s: %w", against, err)
	}
	folder, _ := contract.Load(os.DirFS(temp), filepath.Base(a.dir)+" at "+against)
	return folder, nil
}

// checkout unpacks a folder as it is at a ref into another.
func checkout(against, folder, into string) error {
	ref, ok := strings.CutPrefix(against, "git:")
	if !ok || ref == "" || strings.HasPrefix(ref, "-") {
		return errors.New("expected git:REF, such as git:main")
	}
	folder, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	top, err := git(filepath.Dir(folder), "rev-parse", "--show-toplevel")
	if err != nil {
		return fmt.Errorf("%s is not in a git checkout: %w", folder, err)
	}
	prefix, err := git(filepath.Dir(folder), "rev-parse", "--show-prefix")
	if err != nil {
		return err
	}
	root := strings.TrimSpace(string(top))
	if _, err := git(root, "rev-parse", "--verify", "--quiet", ref+"^{commit}"); err != nil {
		return fmt.Errorf("git has no %s here; fetch it, or name another ref", ref)
	}
	tree := ref + ":" + path.Join(strings.TrimSpace(string(prefix)), filepath.Base(folder))
	if _, err := git(root, "cat-file", "-e", tree); err != nil {
		return nil
	}
	archive, err := git(root, "archive", "--format=tar", tree)
	if err != nil {
		return err
	}
	return unpack(archive, into)
}

// git runs a git command; its error is the first line that git says.
func git(dir string, args ...string) ([]byte, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		if first, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n"); first != "" {
			return nil, errors.New(first)
		}
		return nil, err
	}
	return out.Bytes(), nil
}

// unpack writes the regular files of a tar into dir, and none outside of it.
func unpack(archive []byte, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := root.MkdirAll(filepath.Dir(h.Name), 0o755); err != nil {
			return err
		}
		if err := root.WriteFile(h.Name, text, 0o644); err != nil {
			return err
		}
	}
}
