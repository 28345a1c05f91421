package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/troupedev/troupe/test/rig"
)

// services are those that run, each twice.
var services = []string{
	"orders", "payments", "inventory", "shipping", "notifications", "users", "coupons", "bookings", "seats", "tickets",
}

// twin is the name of a service's second instance.
func twin(service string) string { return service + "-twin" }

// stage is what the flows run on: compose.yaml with a second instance of every
// service, and a mail server of our own, which keeps its mails while it is away.
type stage struct {
	compose *rig.Compose
	mail    *rig.MailServer
	folder  string            // of the file that is laid over compose.yaml
	twins   map[string]string // HTTP of second instances, as host:port, by service
	sql     string            // Postgres, as host:port
}

func newStage(p plan) (*stage, error) {
	c, err := rig.NewCompose("troupe-soak")
	if err != nil {
		return nil, err
	}
	s := &stage{compose: c, twins: map[string]string{}}
	if s.mail, err = rig.NewOpenMailServer(); err != nil {
		return nil, err
	}
	if s.folder, err = os.MkdirTemp("", "troupe-soak-"); err != nil {
		return nil, err
	}
	for _, service := range []string{"orders", "users", "bookings"} {
		if s.twins[service], err = rig.FreeAddr(); err != nil {
			return nil, err
		}
	}
	if s.sql, err = rig.FreeAddr(); err != nil {
		return nil, err
	}
	root, err := rig.Root()
	if err != nil {
		return nil, err
	}
	below, above := filepath.Join(root, "compose.yaml"), filepath.Join(s.folder, "compose.yaml")
	c.Env = []string{"COMPOSE_FILE=" + below + string(os.PathListSeparator) + above}
	return s, os.WriteFile(above, []byte(s.overlay(below, p.limit)), 0o600)
}

// overlay is what is laid over compose.yaml. The second instance of bookings
// gives bookings little time.
func (s *stage) overlay(below string, limit time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "services:\n  postgres:\n    ports: [%q]\n", s.sql+":5432")
	smtp := fmt.Sprintf("{TROUPE_SMTP: \"smtp://host.docker.internal:%s\", BOOKINGS_LIMIT: 24h}", s.mail.Port())
	fmt.Fprintf(&b, "  notifications:\n    environment: %s\n    extra_hosts: [\"host.docker.internal:host-gateway\"]\n", smtp)
	for _, service := range services {
		ports := "[]"
		if addr := s.twins[service]; addr != "" {
			ports = fmt.Sprintf("[%q]", addr+":8000")
		}
		fmt.Fprintf(&b, "  %s:\n    extends: {file: %q, service: %s}\n    build: !reset null\n    ports: !override %s\n", twin(service), below, service, ports)
		switch service {
		case "notifications":
			fmt.Fprintf(&b, "    environment: %s\n    extra_hosts: [\"host.docker.internal:host-gateway\"]\n", smtp)
		case "bookings":
			fmt.Fprintf(&b, "    environment: {BOOKINGS_LIMIT: %v}\n", limit)
		}
	}
	return b.String()
}

// ledger counts what came of all flows.
func (s *stage) ledger(log *rig.Log) *rig.Ledger {
	c := s.compose
	return &rig.Ledger{
		Log: log, Mails: s.mail.Mails,
		APIs: map[string]string{
			"orders": c.API, "users": c.Users, "bookings": c.Bookings, "inventory": c.Inventory, "payments": c.Payments, "seats": c.Seats,
		},
		SQL: rig.SchemaSQL("postgres://troupe:troupe@" + s.sql + "/troupe"),
	}
}

func (s *stage) up(ctx context.Context) error {
	_, err := s.compose.Run(ctx, "make", "up")
	return err
}

func (s *stage) close(ctx context.Context) error {
	return errors.Join(s.compose.Close(ctx), s.mail.Down(), os.RemoveAll(s.folder))
}
