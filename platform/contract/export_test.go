package contract

import "slices"

// Drain reads all that is left of a message, as it is.
func Drain(r *Reader) []byte { return slices.Clone(r.take(int64(len(r.body) - r.at))) }
