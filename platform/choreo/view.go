package choreo

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupedev/troupe/platform/event"
)

// View is the topology as data: what topology.json holds, and what pages and
// tools draw.
type View struct {
	Services []ServiceView `json:"services"`
	Topics   []TopicView   `json:"topics"`
}

// ServiceView is one service of a [View].
type ServiceView struct {
	Name      string         `json:"name"`
	Doc       string         `json:"doc"`
	Store     bool           `json:"store,omitempty"` // it has a database
	Routes    []RouteView    `json:"routes,omitempty"`
	Reactions []ReactionView `json:"reactions,omitempty"`
}

// RouteView is one HTTP route of a [ServiceView].
type RouteView struct {
	Method string   `json:"method"`
	Path   string   `json:"path"`
	Emits  []string `json:"emits,omitempty"` // types with their versions
}

// ReactionView is one reaction of a [ServiceView].
type ReactionView struct {
	Name     string   `json:"name"`
	Hears    string   `json:"hears"`             // type with its version, or "domain.*"
	Gathers  string   `json:"gathers,omitempty"` // type of the answers that it gathers
	Answers  string   `json:"answers,omitempty"` // type by which it answers
	Where    Filter   `json:"where,omitempty"`
	Emits    []string `json:"emits,omitempty"` // types with their versions
	Timeout  string   `json:"timeout"`         // of one attempt
	Within   string   `json:"within"`          // late after it
	Attempts int      `json:"attempts"`        // before it is a dead letter
}

// TopicView is one domain's topic of a [View].
type TopicView struct {
	Name       string   `json:"name"`
	Owner      string   `json:"owner"`
	Doc        string   `json:"doc"`
	Partitions int      `json:"partitions"`
	Retention  string   `json:"retention"` // "7d", "36h0m0s", "forever"
	Events     []string `json:"events"`    // types with their versions
}

// View is the service as data: what it announces to others.
func (s *Service) View() ServiceView { return s.view() }

// View returns the topology as data.
func (t Topology) View() View {
	v := View{Services: make([]ServiceView, 0, len(t)), Topics: []TopicView{}}
	for i := range t {
		v.Services = append(v.Services, t[i].view())
	}
	types := t.Types()
	for _, topic := range t.Topics() {
		mine := slices.DeleteFunc(slices.Clone(types), func(e *event.Type) bool { return e.Domain != topic.Name })
		v.Topics = append(v.Topics, TopicView{
			Name: topic.Name, Owner: topic.Owner, Doc: topic.Doc,
			Partitions: topic.Partitions, Retention: retentionText(topic.Retention), Events: texts(mine),
		})
	}
	return v
}

func (s *Service) view() ServiceView {
	v := ServiceView{Name: s.Name, Doc: s.Doc, Store: s.Store != nil}
	for _, r := range s.Routes {
		method, path := r.Pattern()
		v.Routes = append(v.Routes, RouteView{Method: method, Path: path, Emits: texts(EmittedBy(r))})
	}
	for i := range s.Reactions {
		r := &s.Reactions[i]
		v.Reactions = append(v.Reactions, r.view())
	}
	return v
}

func (r *Reaction) view() ReactionView {
	v := ReactionView{
		Name: r.Name(), Hears: r.domain + ".*", Where: r.options.filter, Emits: texts(r.Emits()),
		Timeout: r.Timeout().String(), Within: r.Within().String(), Attempts: r.options.retry.Attempts,
	}
	if len(r.inputs) > 0 {
		v.Hears = r.inputs[0].typ.String()
	}
	if r.Gathers() {
		v.Gathers = r.inputs[1].typ.String()
	}
	if r.reply != nil {
		v.Answers = r.reply.String()
	}
	return v
}

func texts(types []*event.Type) []string {
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = t.String()
	}
	return out
}

func retentionText(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "forever"
	case d%day == 0:
		return fmt.Sprintf("%dd", d/day)
	}
	return d.String()
}

// name is a type without its version.
func name(typeText string) string {
	full, _, _ := strings.Cut(typeText, "/")
	return full
}
