package contract

import "github.com/troupedev/troupe/platform/event"

type Violation struct{}
func (v Violation) reason() string { return "" }
func resolve(body []byte, wrote, reads *event.Type) ([]byte, error) { panic("x") }
