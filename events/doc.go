// Package events holds no code of its own: below it is one package for each
// domain, generated from the folder schemas and never edited.
//
// Each package has a Go type for every version of an event that is not
// retired, with its schema's text and its encoding, and imports nothing of
// Troupe but packages event and contract. To change an event, add a version to
// the schemas and run go generate ./events.
package events

//go:generate go tool schemas generate
