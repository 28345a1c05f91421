package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
)

// Compose is what compose.yaml describes, under a name and on ports of its own,
// so that it leaves one that somebody works with alone.
type Compose struct {
	Project string
	API     string // host:port of the orders service
	Mail    string // host:port of the mail server's pages
	Kafka   string // host:port

	root string
}

// NewCompose finds free ports for a project.
func NewCompose(project string) (*Compose, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	c := &Compose{Project: project, root: root}
	for _, addr := range []*string{&c.API, &c.Mail, &c.Kafka} {
		var err error
		if *addr, err = FreeAddr(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Run runs a command in the project's folder, set up so that `docker compose`
// and `make` mean this project.
func (c *Compose) Run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.root
	cmd.Env = append(os.Environ(),
		"COMPOSE_PROJECT_NAME="+c.Project,
		"TROUPE_API_PORT="+port(c.API), "TROUPE_MAIL_PORT="+port(c.Mail), "TROUPE_KAFKA_PORT="+port(c.Kafka),
	)
	var stdout, all bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &all
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, &stdout, &all)
	}
	return stdout.String(), nil
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// Restart kills a service's container with SIGKILL, and starts it again.
func (c *Compose) Restart(ctx context.Context, service string) error {
	if _, err := c.Run(ctx, "docker", "compose", "kill", "--signal", "KILL", service); err != nil {
		return err
	}
	_, err := c.Run(ctx, "docker", "compose", "start", service)
	return err
}

// Close ends the containers and throws away their data. A context that has
// ended does not keep it from that.
func (c *Compose) Close(ctx context.Context) error {
	_, err := c.Run(context.WithoutCancel(ctx), "docker", "compose", "down", "--volumes", "--timeout", "5")
	return err
}

// Logs is the end of what every container has logged.
func (c *Compose) Logs(ctx context.Context, lines int) string {
	out, err := c.Run(context.WithoutCancel(ctx), "docker", "compose", "logs", "--no-color", "--tail", fmt.Sprint(lines))
	if err != nil {
		return errors.Join(errors.New("no logs"), err).Error()
	}
	return out
}
