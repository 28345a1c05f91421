// Package choreo holds declarations as values: which services there are, what
// each hears, and what it may emit.
//
// It does no I/O: nothing here opens a connection, starts a goroutine or looks
// at a clock. Topics, consumer groups, documentation and tests are read off a
// [Topology]; package runtime runs it.
//
// Start with [Service] and [On]; then [Option] for what more can be said of a
// reaction, [Filter] for content filters, and [Topology.Validate].
package choreo
