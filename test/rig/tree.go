package rig

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// CheckTree compares the events of a flow but its first with those that must be
// there, and those that may, each as "child < parent", or as the child alone
// where nothing led to it. Questions that services ask each other are no part
// of it: they may be asked again. The error says what is missing and what is
// too much.
func CheckTree(flow []*Event, must, may []string) error {
	if len(flow) == 0 {
		return errors.New("no event of it has been seen")
	}
	missing, allowed := slices.Clone(must), slices.Clone(may)
	var surplus []string
	for _, edge := range edges(flow) {
		if i := slices.Index(missing, edge); i >= 0 {
			missing = slices.Delete(missing, i, i+1)
		} else if i := slices.Index(allowed, edge); i >= 0 {
			allowed = slices.Delete(allowed, i, i+1)
		} else {
			surplus = append(surplus, edge)
		}
	}
	if len(missing)+len(surplus) > 0 {
		return fmt.Errorf("missing: [%s]; too much: [%s]", strings.Join(missing, ", "), strings.Join(surplus, ", "))
	}
	return nil
}

func edges(flow []*Event) []string {
	byID := make(map[string]*Event, len(flow))
	for _, e := range flow {
		byID[e.ID()] = e
	}
	var out []string
	for _, e := range flow {
		switch cause := byID[e.Cause()]; {
		case e.ID() == e.Flow(), e.asks():
		case cause != nil:
			out = append(out, e.Type+" < "+cause.Type)
		case e.Cause() == "":
			out = append(out, e.Type)
		default:
			out = append(out, e.Type+" < ?")
		}
	}
	return out
}
