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

// TestComposeIsTrueToTheTopology compares compose.yaml with topology.json: each
// service that has a container there has a role of its own where it keeps state,
// and a port where it serves HTTP, which `make up` prints. A service may have
// none.
func TestComposeIsTrueToTheTopology(t *testing.T) {
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
	composed := text
	var topology choreo.View
	if text, err = os.ReadFile("../topology.json"); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &topology); err != nil {
		t.Fatal(err)
	}
	for name, c := range compose.Services {
		if len(c.Command) > 0 && c.Command[0] == "run" && !slices.ContainsFunc(topology.Services, func(s choreo.ServiceView) bool { return s.Name == name }) {
			t.Errorf("compose.yaml runs %s, which is no service", name)
		}
		for _, p := range c.Ports {
			within := p[strings.LastIndex(p, ":")+1:]
			if printed := "\n#   " + name + " " + within + " "; !strings.Contains(string(composed), printed) {
				t.Errorf("compose.yaml publishes %s of %s, and its head, which make up prints, does not name it", within, name)
			}
		}
	}
	for _, s := range topology.Services {
		c, ok := compose.Services[s.Name]
		if !ok {
			t.Logf("make up does not run %s", s.Name)
			continue
		}
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
