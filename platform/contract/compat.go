package contract

import (
	"fmt"
	"slices"

	"github.com/troupedev/troupe/platform/event"
)

// Compatibility is which versions of an event must be able to read which.
type Compatibility string

// Rules of compatibility, as schema registries name them. Backward means that
// a newer version reads what an older one wrote, forward the other way round,
// full both; transitive means all pairs and not just neighbours.
const (
	FullTransitive     Compatibility = "FULL_TRANSITIVE" // the default
	Full               Compatibility = "FULL"
	BackwardTransitive Compatibility = "BACKWARD_TRANSITIVE"
	Backward           Compatibility = "BACKWARD"
	ForwardTransitive  Compatibility = "FORWARD_TRANSITIVE"
	Forward            Compatibility = "FORWARD"
	NoCompatibility    Compatibility = "NONE"
)

var compatibilities = []Compatibility{
	FullTransitive, Full, BackwardTransitive, Backward, ForwardTransitive, Forward, NoCompatibility,
}

// valid reports whether c is a rule, or empty for the default.
func (c Compatibility) valid() bool { return c == "" || slices.Contains(compatibilities, c) }

// demands reports whether c wants the reader's version to read the writer's,
// both by their numbers.
func (c Compatibility) demands(reader, writer int) bool {
	var backward, forward, transitive bool
	switch c {
	case "", FullTransitive:
		backward, forward, transitive = true, true, true
	case Full:
		backward, forward = true, true
	case BackwardTransitive:
		backward, transitive = true, true
	case Backward:
		backward = true
	case ForwardTransitive:
		forward, transitive = true, true
	case Forward:
		forward = true
	}
	if !transitive && reader-writer != 1 && writer-reader != 1 {
		return false
	}
	return reader > writer && backward || reader < writer && forward
}

// Violation is one reason why a version of an event cannot read another.
type Violation struct {
	Event  string // subject: "orders.OrderPlaced"
	Reader int    // version
	Writer int    // version
	Field  string // path: "items[].price"; empty for the event as a whole
	Rule   Rule
	Detail string
	Always bool // every read fails, not only that of an event which has what Detail says
}

// Error says it in one line: `orders.OrderPlaced: v1 cannot read v2: field
// coupon: the writer has no such field, and it has no default (RULE)`.
func (v Violation) Error() string {
	return fmt.Sprintf("%s: v%d cannot read v%d: %s", v.Event, v.Reader, v.Writer, v.reason())
}

func (v Violation) reason() string {
	if v.Field == "" {
		return fmt.Sprintf("%s (%s)", v.Detail, v.Rule)
	}
	return fmt.Sprintf("field %s: %s (%s)", v.Field, v.Detail, v.Rule)
}

func violations(wrote, reads *event.Type, p *plan) []Violation {
	out := make([]Violation, len(p.differences))
	for i, d := range p.differences {
		out[i] = Violation{reads.FullName(), reads.Version, wrote.Version, d.field, d.rule, d.detail, p.run == nil}
	}
	return out
}

// Reads says why the version cannot read all that another one of its event
// wrote; nothing if it can.
func (v *Version) Reads(wrote *Version) []Violation {
	p := compile(wrote.Schema, v.Schema)
	out := make([]Violation, len(p.differences))
	for i, d := range p.differences {
		out[i] = Violation{v.Event.Subject(), v.Number, wrote.Number, d.field, d.rule, d.detail, p.run == nil}
	}
	return out
}

// Demands reports whether the event's compatibility wants the one version to
// read the other.
func (e *Event) Demands(reader, writer *Version) bool {
	return e.Compatibility.demands(reader.Number, writer.Number)
}

// Violations are the pairs of versions that cannot read each other, although
// the event's compatibility wants them to.
func (e *Event) Violations() []Violation {
	var out []Violation
	for _, reader := range e.Versions {
		for _, writer := range e.Versions {
			if e.Demands(reader, writer) {
				out = append(out, reader.Reads(writer)...)
			}
		}
	}
	return out
}
