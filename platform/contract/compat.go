package contract

import "slices"

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
