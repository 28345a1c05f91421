package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// running is what a `troupe run` tells the other commands about itself, in a
// file of its data folder.
type running struct {
	PID         int       `json:"pid"`
	Started     time.Time `json:"started"`
	Brokers     []string  `json:"brokers"`
	TopicPrefix string    `json:"topicPrefix"`
	API         string    `json:"api"`
	Console     string    `json:"console"`
	SMTP        string    `json:"smtp"`
}

func runningPath(data string) string { return filepath.Join(data, "running.json") }

// write puts the file in place whole, so that nobody reads half of it.
func (r *running) write(data string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	draft := runningPath(data) + ".new"
	if err := os.WriteFile(draft, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(draft, runningPath(data))
}

// nobodyRuns says what a command can be told instead.
const nobodyRuns = "start one by `troupe run`, name its folder by --data, or the brokers by --brokers"

// findRunning reads what runs on a data folder.
func findRunning(data string) (*running, error) {
	path := runningPath(data)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no troupe runs here (there is no %s): %s", path, nobodyRuns)
	}
	if err != nil {
		return nil, err
	}
	var r running
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s cannot be read (%w): %s", path, err, nobodyRuns)
	}
	if !locked(data) {
		return nil, fmt.Errorf("no troupe runs here (%s is of process %d, which has ended): %s", path, r.PID, nobodyRuns)
	}
	return &r, nil
}

// where finds the brokers, and the prefix of their topics: those of --brokers,
// else those of the troupe that runs on the data folder.
func (c *config) where() (brokers []string, prefix string, err error) {
	if len(c.Brokers) > 0 {
		return c.Brokers, c.TopicPrefix, nil
	}
	r, err := findRunning(c.Data)
	if err != nil {
		return nil, "", err
	}
	if c.TopicPrefix != "" && c.TopicPrefix != r.TopicPrefix {
		return nil, "", fmt.Errorf("the troupe that runs at %s has the topic prefix %q, not %q; name its brokers by --brokers to look elsewhere",
			strings.Join(r.Brokers, ","), r.TopicPrefix, c.TopicPrefix)
	}
	return r.Brokers, r.TopicPrefix, nil
}
