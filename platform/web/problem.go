package web

import (
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"
)

// locateMissing lets a problem say where a missing property belongs, which
// huma tells in prose only, and leaves out what was sent around it: it may be
// personal. It is a huma.Transformer.
func locateMissing(_ huma.Context, _ string, answer any) (any, error) {
	problem, ok := answer.(*huma.ErrorModel)
	if !ok {
		return answer, nil
	}
	for _, detail := range problem.Errors {
		if name, ok := missing(detail.Message); ok {
			detail.Location += "." + name
			detail.Message = "is required"
			detail.Value = nil
		}
	}
	return problem, nil
}

// missing is the name of the property that a message says is missing.
func missing(message string) (name string, ok bool) {
	before, after, _ := strings.Cut(validation.MsgExpectedRequiredProperty, "%s")
	name, ok = strings.CutPrefix(message, before)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, after)
}
