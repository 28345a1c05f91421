// Package contract is the schemas folder and what follows from it: versions,
// their lock, compatibility, and the bytes on the wire.
//
// Services use none of it by hand: generated events encode and decode
// themselves through [Writer] and [Reader]. The runtime frames and unframes
// record values with [Append] and [Decode]; tools speak JSON with [EncodeJSON]
// and [DecodeJSON]; `go tool schemas` loads the folder with [Load] and judges
// it with [Folder.Check].
//
// It is alone in importing hamba/avro, whose parser judges every schema; what
// is known to be wrong in that library does not get past here. Messages are
// read and written by this package's own Reader and Writer. It does no I/O
// besides reading the folder, and generates no code: that is contract/schemas.
//
// Avro types are these Go types:
//
//	boolean, int, long, float, double    bool, int32, int64, float32, float64
//	bytes, string, fixed                 []byte, string, [N]byte
//	enum                                 a string type with a constant for each symbol; the
//	                                     empty one is written as the default, or is an error
//	record, array, map                   struct, slice, map[string]T
//	date                                 time.Time, midnight in UTC
//	time-millis, time-micros             time.Duration since midnight
//	timestamp-*, local-timestamp-*       time.Time in UTC, cut down to the unit; of a local
//	                                     one what the clock of its location shows
//	decimal                              *big.Rat, exact; nil is written as 0
//	uuid                                 string, of the form 6ba7b810-9dad-11d1-80b4-00c04fd430c8
//	union of T and null                  *T; for bytes, array, map and decimal the type itself, nil
//	                                     being null and empty being empty
//
// Outside of a union nil slices and maps are written as empty ones, and empty
// ones are read as nil. A map is written in the order of its keys.
//
// Start with codec.go for the wire and folder.go for the schemas.
package contract
