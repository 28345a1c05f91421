package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is one `troupe run`: it can be ended and started again, and keeps its
// addresses and data while it is down.
type Process struct {
	Name    string
	API     string   // host:port of the services' HTTP
	Console string   // host:port of /livez, /readyz and the mail in the inbox
	Data    string   // folder that --data names: .troupe in the folder that it runs in
	Binary  string   // that it is started from
	Env     []string // settings of every start, as NAME=value

	args   []string
	cmd    *exec.Cmd
	ended  chan struct{} // closed once cmd has been waited for
	output Output
}

// NewProcess prepares `troupe run args…`, with a folder of its own in folder.
func NewProcess(binary, folder, name string, args ...string) (*Process, error) {
	api, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	console, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	p := &Process{
		Name: name, API: api, Console: console,
		Data: filepath.Join(folder, name, ".troupe"), Binary: binary,
	}
	p.args = append([]string{"run", "--api", api, "--console", console, "--data", p.Data}, args...)
	return p, os.MkdirAll(p.Data, 0o700)
}

// Start starts the process, and returns once it is ready. env are settings of
// this start alone, as NAME=value.
func (p *Process) Start(ctx context.Context, env ...string) error {
	if err := p.Launch(env...); err != nil {
		return err
	}
	return p.Ready(ctx)
}

// Launch starts the process, and does not wait until it is ready.
func (p *Process) Launch(env ...string) error {
	p.cmd = exec.Command(p.Binary, p.args...)
	p.cmd.Dir = p.Dir()
	p.cmd.Env = slices.Concat(environ(), p.Env, env)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	fmt.Fprintf(&p.output, "--- %s\n", strings.Join(slices.Concat(env, p.cmd.Args), " "))
	if err := p.cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	p.ended = ended
	go func(cmd *exec.Cmd) {
		defer close(ended)
		err := cmd.Wait()
		fmt.Fprintf(&p.output, "--- ended: %v\n", err)
	}(p.cmd)
	return nil
}

// environ is the environment without Troupe's own settings, which would make a
// test depend on who runs it.
func environ() []string {
	var out []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "TROUPE_") {
			out = append(out, v)
		}
	}
	return out
}

// Ready waits until the process says that it is ready.
func (p *Process) Ready(ctx context.Context) error {
	err := Await(ctx, func(ctx context.Context) error {
		select {
		case <-p.ended:
			return final{fmt.Errorf("it has ended: %s", p.cmd.ProcessState)}
		default:
		}
		return get(ctx, "http://"+p.Console+"/readyz", nil)
	})
	if err != nil {
		return fmt.Errorf("%s is not ready: %w", p.Name, err)
	}
	return nil
}

// Kill ends the process with SIGKILL: it has no chance to finish anything.
func (p *Process) Kill() error { return p.end(syscall.SIGKILL, 5*time.Second) }

// Stop asks the process to end, and waits until it has.
func (p *Process) Stop() error {
	if err := p.end(syscall.SIGTERM, 45*time.Second); err != nil {
		return err
	}
	if state := p.cmd.ProcessState; !state.Success() {
		return fmt.Errorf("%s: ended by SIGTERM with %s", p.Name, state)
	}
	return nil
}

func (p *Process) end(signal os.Signal, patience time.Duration) error {
	if !p.Running() {
		return fmt.Errorf("%s does not run", p.Name)
	}
	if err := p.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(patience):
		p.cmd.Process.Signal(syscall.SIGQUIT) // so that the log shows where it hangs
		return fmt.Errorf("%s still runs %s after %v", p.Name, patience, signal)
	}
}

// Running reports whether the process runs.
func (p *Process) Running() bool {
	if p.ended == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Close ends the process if it runs, without asking it.
func (p *Process) Close() error {
	if !p.Running() {
		return nil
	}
	return p.Kill()
}

// Ended is closed once the process that was started last has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Killed reports whether the process has ended by SIGKILL, whoever sent it.
func (p *Process) Killed() bool {
	if p.cmd == nil || p.Running() {
		return false
	}
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// ExitCode is the status that the process ended with, -1 while it runs or where
// a signal ended it.
func (p *Process) ExitCode() int {
	if p.Running() || p.cmd == nil {
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

// Dir is the folder that the process runs in.
func (p *Process) Dir() string { return filepath.Dir(p.Data) }

// Output is what the process has printed, over all its lives.
func (p *Process) Output() string { return p.output.String() }

// Output gathers what a process prints; its zero value is empty.
type Output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

// String is what was written so far.
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// get reads url into into, where that is not nil; any status but 200 is an error.
func get(ctx context.Context, url string, into io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %.300s", url, resp.Status, body)
	}
	if into != nil {
		_, werr := into.Write(body)
		err = errors.Join(err, werr)
	}
	return err
}
