// Package contract is the schemas folder and what follows from it: versions,
// their lock, compatibility, and the bytes on the wire.
//
// Services use none of it by hand: generated events encode and decode
// themselves through [Writer] and [Reader]. The runtime frames and unframes
// record values with [Append] and [Decode]; tools speak JSON with [EncodeJSON]
// and [DecodeJSON]; `go tool schemas` loads the folder with [Load] and judges
// it with [Folder.Check] and [Folder.Breaking].
//
// It is alone in importing hamba/avro, whose parser, Reader and Writer it
// wraps; what is known to be wrong in that library does not get past here. It
// does no I/O besides reading the folder, and generates no code: that is
// contract/schemas.
//
// Start with codec.go for the wire and folder.go for the schemas.
package contract
