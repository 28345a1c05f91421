package contract

import "slices"

// fieldStep is what becomes of one of the writer's fields.
type fieldStep struct {
	target int // the reader's field, -1 where it has none
	run    step
}

func (c *compiler) record(path string, w, r *Schema) step {
	hopeless := false
	steps := make([]fieldStep, len(w.Fields))
	defaults := make([][]byte, len(r.Fields)) // nil where the writer has the field
	written := make([]bool, len(r.Fields))
	for i, f := range w.Fields {
		target := slices.IndexFunc(r.Fields, func(rf *SchemaField) bool { return rf.Name == f.Name })
		if target < 0 {
			target = slices.IndexFunc(r.Fields, func(rf *SchemaField) bool { return slices.Contains(rf.Aliases, f.Name) })
		}
		if target < 0 || written[target] {
			steps[i] = fieldStep{-1, func(t *transcoder) { t.r.skipValue(f.Type) }}
			continue
		}
		written[target] = true
		steps[i] = fieldStep{target, c.step(join(path, r.Fields[target].Name), f.Type, r.Fields[target].Type)}
		hopeless = hopeless || steps[i].run == nil
	}
	for i, f := range r.Fields {
		if written[i] {
			continue
		}
		if f.Default == nil {
			c.differ(join(path, f.Name), RuleMissingDefault, "the writer has no such field, and it has no default")
			hopeless = true
			continue
		}
		defaults[i], _ = encodeDefault(f) // checked when the schema was parsed
	}
	if hopeless {
		return nil
	}
	if slices.IsSortedFunc(slices.DeleteFunc(slices.Clone(steps), func(s fieldStep) bool { return s.target < 0 }),
		func(a, b fieldStep) int { return a.target - b.target }) {
		return inOrder(steps, defaults)
	}
	return reordered(steps, defaults)
}

// inOrder writes each field as it is read.
func inOrder(steps []fieldStep, defaults [][]byte) step {
	return func(t *transcoder) {
		next := 0 // of the reader's fields
		for _, s := range steps {
			for ; next < s.target; next++ {
				t.w.raw(defaults[next])
			}
			s.run(t)
			if s.target >= 0 {
				next = s.target + 1
			}
		}
		for ; next < len(defaults); next++ {
			t.w.raw(defaults[next])
		}
	}
}

// reordered reads all fields before it writes them in the reader's order.
func reordered(steps []fieldStep, defaults [][]byte) step {
	return func(t *transcoder) {
		pieces := slices.Clone(defaults)
		out := t.w
		for _, s := range steps {
			t.w = newWriter()
			s.run(t)
			if s.target >= 0 {
				pieces[s.target] = slices.Clone(t.w.out)
			}
			t.w.release()
		}
		t.w = out
		for _, p := range pieces {
			t.w.raw(p)
		}
	}
}
