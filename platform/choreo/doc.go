// Package choreo holds declarations as values: which services there are, what
// each hears, and what it may emit.
//
// It does no I/O: nothing here opens a connection or starts a goroutine, and the
// time is told to whoever needs it. Topics, consumer groups, documentation and
// tests are read off a [Topology]; package runtime runs it, and provides what
// [Ask] and [Gather] need by the handler's context ([Asker], [Gatherer]).
//
// Start with [Service], [On] and [Emit]; then [Answer] and [Ask] for requests with
// a reply, and [Gather] for those that many answer; [Option] for what more can be
// said of a reaction, [Filter] for content filters, and [Topology.Validate].
// [Emitter] turns what a handler emitted into messages.
package choreo
