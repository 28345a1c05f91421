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
	"time"
)

// Compose is what compose.yaml describes, under a name and on ports of its own,
// so that it leaves one that somebody works with alone.
type Compose struct {
	Project string

	// Where services' HTTP is, as host:port.
	API, Users, Bookings, Inventory, Payments, Seats string // API is of orders

	Mail  string // host:port of the mail server's pages
	Kafka string // host:port

	// Env are more variables of what [Compose.Run] runs, as NAME=value.
	Env []string

	root string
}

// NewCompose finds free ports for a project.
func NewCompose(project string) (*Compose, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	c := &Compose{Project: project, root: root}
	for _, addr := range c.ports() {
		var err error
		if *addr, err = FreeAddr(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// ports are the addresses by the variables that move their ports.
func (c *Compose) ports() map[string]*string {
	return map[string]*string{
		"TROUPE_API_PORT": &c.API, "TROUPE_USERS_PORT": &c.Users, "TROUPE_BOOKINGS_PORT": &c.Bookings,
		"TROUPE_INVENTORY_PORT": &c.Inventory, "TROUPE_PAYMENTS_PORT": &c.Payments, "TROUPE_SEATS_PORT": &c.Seats,
		"TROUPE_MAIL_PORT": &c.Mail, "TROUPE_KAFKA_PORT": &c.Kafka,
	}
}

// Run runs a command in the project's folder, set up so that `docker compose`
// and `make` mean this project.
func (c *Compose) Run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.root
	cmd.Env = append(os.Environ(), "COMPOSE_PROJECT_NAME="+c.Project)
	cmd.Env = append(cmd.Env, c.Env...)
	for variable, addr := range c.ports() {
		cmd.Env = append(cmd.Env, variable+"="+port(*addr))
	}
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

// SQL runs statements one after another as a role of the database troupe, also
// after one that fails, and returns what they print, errors among it.
func (c *Compose) SQL(ctx context.Context, role string, statements ...string) (string, error) {
	args := []string{"compose", "exec", "-T", "-e", "PGPASSWORD=" + role, "postgres",
		"bash", "-c", `exec psql "$@" 2>&1`, "psql", "--host", "127.0.0.1", "--username", role, "--no-align", "--tuples-only", "troupe"}
	for _, s := range statements {
		args = append(args, "--command", s)
	}
	return c.Run(ctx, "docker", args...)
}

// Kill ends the only container of a service with SIGKILL. It may have ended
// already, as a service does that finds no broker when it starts.
func (c *Compose) Kill(ctx context.Context, service string) error {
	err := c.container(ctx, "kill", service)
	if err != nil && strings.Contains(err.Error(), "is not running") {
		return nil
	}
	return err
}

// Stop asks the only container of a service to end, and waits until it has.
func (c *Compose) Stop(ctx context.Context, service string) error {
	return c.container(ctx, "stop", service)
}

// Start starts the only container of a service again. It waits for nothing that
// the service needs: that may be away, too.
func (c *Compose) Start(ctx context.Context, service string) error {
	return c.container(ctx, "start", service)
}

func (c *Compose) container(ctx context.Context, command, service string) error {
	_, err := c.Run(ctx, "docker", command, c.Project+"-"+service+"-1")
	return err
}

// Close ends the containers and throws away their data. A context that has
// ended does not keep it from that. A network that Docker does not let go of,
// though no container is left, is no error: it does so now and then where
// containers were killed while they started, and the next run uses it again.
func (c *Compose) Close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	down := func() error {
		_, err := c.Run(ctx, "docker", "compose", "down", "--volumes", "--timeout", "5")
		return err
	}
	err := down()
	if err != nil && strings.Contains(err.Error(), "active endpoints") {
		<-time.After(5 * time.Second)
		err = down()
	}
	if err == nil || !strings.Contains(err.Error(), "active endpoints") {
		return err
	}
	left, lerr := c.Run(ctx, "docker", "compose", "ps", "--all", "--quiet")
	if lerr == nil && left == "" {
		return nil
	}
	return errors.Join(err, lerr)
}

// Logs is the end of what every container has logged.
func (c *Compose) Logs(ctx context.Context, lines int) string {
	out, err := c.Run(context.WithoutCancel(ctx), "docker", "compose", "logs", "--no-color", "--tail", fmt.Sprint(lines))
	if err != nil {
		return errors.Join(errors.New("no logs"), err).Error()
	}
	return out
}
