package choreo

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Text writes the topology for a person to read: each service with what leads
// it to emit what, under which condition.
func (v View) Text(w io.Writer) error {
	for i, s := range v.Services {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s: %s\n", s.Name, s.Doc)
		tab := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
		for _, r := range s.Routes {
			fmt.Fprintf(tab, "  %s %s\t-> %s\n", r.Method, r.Path, emitted(r.Emits))
		}
		for _, r := range s.Reactions {
			fmt.Fprintf(tab, "  %s\t-> %s%s\n", r.heard(), emitted(r.Emits), where(r.Where))
		}
		if err := tab.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	tab := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintf(tab, "TOPIC\tPARTITIONS\tKEPT\tOWNER\tEVENTS\n")
	for _, t := range v.Topics {
		fmt.Fprintf(tab, "%s\t%d\t%s\t%s\t%s\n", t.Name, t.Partitions, t.Retention, t.Owner, strings.Join(t.Events, ", "))
	}
	return tab.Flush()
}

// heard is what a reaction hears, for a person to read.
func (r *ReactionView) heard() string {
	if r.Gathers != "" {
		return r.Hears + " and every " + r.Gathers
	}
	return r.Hears
}

func emitted(types []string) string {
	if len(types) == 0 {
		return "(nothing)"
	}
	return strings.Join(types, ", ")
}

func where(f Filter) string {
	if len(f) == 0 {
		return ""
	}
	return "\twhere " + f.String()
}

// edge is one arrow of the topology's graph: a service emits an event, or an
// event is heard by a service.
type edge struct {
	from, to, label string
	emits           bool
}

func (v View) edges() []edge {
	var out []edge
	add := func(e edge) {
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	for _, s := range v.Services {
		for _, r := range s.Routes {
			for _, e := range r.Emits {
				add(edge{from: s.Name, to: name(e), emits: true})
			}
		}
		for _, r := range s.Reactions {
			add(edge{from: name(r.Hears), to: s.Name, label: r.Where.String()})
			if r.Gathers != "" {
				add(edge{from: name(r.Gathers), to: s.Name})
			}
			for _, e := range r.Emits {
				add(edge{from: s.Name, to: name(e), emits: true})
			}
		}
	}
	return out
}

// events are the names of all events on the graph's edges, in their order.
func events(edges []edge) []string {
	var out []string
	for _, e := range edges {
		event := e.from
		if e.emits {
			event = e.to
		}
		if !slices.Contains(out, event) {
			out = append(out, event)
		}
	}
	return out
}

// Mermaid writes the topology as a Mermaid flow chart (https://mermaid.js.org/syntax/flowchart.html).
func (v View) Mermaid(w io.Writer) error {
	id := func(s string) string { return strings.NewReplacer(".", "_", "-", "_", "*", "all").Replace(s) }
	edges := v.edges()
	fmt.Fprintln(w, "flowchart LR")
	for _, s := range v.Services {
		fmt.Fprintf(w, "  service_%s[[%s]]\n", id(s.Name), s.Name)
	}
	for _, e := range events(edges) {
		fmt.Fprintf(w, "  event_%s([%s])\n", id(e), e)
	}
	for _, e := range edges {
		switch {
		case e.emits:
			fmt.Fprintf(w, "  service_%s --> event_%s\n", id(e.from), id(e.to))
		case e.label == "":
			fmt.Fprintf(w, "  event_%s -.-> service_%s\n", id(e.from), id(e.to))
		default:
			fmt.Fprintf(w, "  event_%s -. \"%s\" .-> service_%s\n", id(e.from), strings.ReplaceAll(e.label, `"`, "#quot;"), id(e.to))
		}
	}
	return nil
}

// DOT writes the topology as a graph for Graphviz (https://graphviz.org/doc/info/lang.html).
func (v View) DOT(w io.Writer) error {
	edges := v.edges()
	fmt.Fprintln(w, "digraph troupe {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];")
	for _, s := range v.Services {
		fmt.Fprintf(w, "  %q [shape=box, style=filled, fillcolor=\"#e8eefc\"];\n", s.Name)
	}
	for _, e := range events(edges) {
		fmt.Fprintf(w, "  %q [shape=ellipse];\n", e)
	}
	for _, e := range edges {
		attrs := ""
		if !e.emits {
			attrs = fmt.Sprintf(" [style=dashed, label=%q]", e.label)
		}
		fmt.Fprintf(w, "  %q -> %q%s;\n", e.from, e.to, attrs)
	}
	_, err := fmt.Fprintln(w, "}")
	return err
}
