package test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/troupedev/troupe/platform/choreo"
)

// TestComposeRunsEveryService compares compose.yaml with topology.json: each
// service has a container, a role of its own where it keeps state, and a port
// where it serves HTTP.
func TestComposeRunsEveryService(t *testing.T) {
	var compose struct {
		Services map[string]struct {
			Command     []string
			Ports       []string
			Environment map[string]string
		}
		Configs map[string]struct{ Content string }
	}
	text, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		t.Fatal(err)
	}
	var topology choreo.View
	if text, err = os.ReadFile("../topology.json"); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &topology); err != nil {
		t.Fatal(err)
	}
	for _, s := range topology.Services {
		c := compose.Services[s.Name]
		if !slices.Equal(c.Command, []string{"run", s.Name}) {
			t.Errorf("compose.yaml has no container that runs %s alone: %v", s.Name, c.Command)
		}
		want := ""
		if s.Store {
			want = "postgres://" + s.Name + ":" + s.Name + "@postgres/troupe"
		}
		if got := c.Environment["TROUPE_DATABASE"]; got != want {
			t.Errorf("compose.yaml: the database of %s is %q, want %q", s.Name, got, want)
		}
		if has := strings.Contains(compose.Configs["roles"].Content, "('"+s.Name+"')"); has != s.Store {
			t.Errorf("compose.yaml makes a role for %s: %t, want %t", s.Name, has, s.Store)
		}
		if (len(s.Routes) > 0) != (len(c.Ports) == 1) {
			t.Errorf("compose.yaml publishes the ports %v of %s, which has %d routes", c.Ports, s.Name, len(s.Routes))
		}
	}
}
