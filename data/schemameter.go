package data

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Limits of a schema's patterns, so that one match is cheap.
const (
	maxPattern      = 512  // characters
	maxInstructions = 1024 // of the compiled program; repetition counts multiply them
)

// errBudget is what a validation ends with when it used up its budget.
var errBudget = errors.New("data: the validation takes too long")

// meter bounds the work of one validation. A schema of a few lines can ask for
// more steps than there is time in the world: {"allOf": [a, a]} nested n times
// takes 2^n. The meter stands in every subschema as an extension, counts, and
// ends the validation by a panic, for which the library has no other way.
type meter struct{ left int }

// validationBudget is about a tenth of a second of work on one core.
const validationBudget = 1_000_000

func (m *meter) spend(n int) {
	if m.left -= n; m.left < 0 {
		panic(errBudget)
	}
}

// vocabulary makes the meter part of every subschema that is an object.
func (m *meter) vocabulary() *jsonschema.Vocabulary {
	yes := true
	return &jsonschema.Vocabulary{
		URL:    "tag:github.com/acme/platform,2026:vocabulary:meter",
		Schema: &jsonschema.Schema{DraftVersion: 2020, Bool: &yes},
		Compile: func(_ *jsonschema.CompilerContext, obj map[string]any) (jsonschema.SchemaExt, error) {
			cost := 1
			for _, keyword := range []string{"enum", "required", "dependentRequired"} {
				switch v := obj[keyword].(type) {
				case []any:
					cost += len(v) / 8
				case map[string]any:
					cost += len(v)
				}
			}
			return &toll{meter: m, cost: cost}, nil
		},
	}
}

// toll is the meter in one subschema.
type toll struct {
	meter *meter
	cost  int
}

// Validate implements [jsonschema.SchemaExt]; it never finds fault.
func (t *toll) Validate(ctx *jsonschema.ValidatorContext, v any) {
	// A fault copies the path to where it is.
	cost := t.cost + len(ctx.ValueLocation())/2
	switch v := v.(type) {
	case []any:
		cost += len(v) / 16
	case map[string]any:
		cost += len(v) / 16
	}
	t.meter.spend(cost)
}

// compile is the engine for patterns: that of the standard library, which
// takes time linear in the text, with a limit on the factor.
func (m *meter) compile(pattern string) (jsonschema.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("a pattern may have %d characters", maxPattern)
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if len(prog.Inst) > maxInstructions {
		return nil, errors.New("a pattern repeats too much")
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	return &meteredRegexp{Regexp: re, meter: m, instructions: len(prog.Inst)}, nil
}

type meteredRegexp struct {
	*regexp.Regexp
	meter        *meter
	instructions int
}

// MatchString spends what the match may cost before it makes it.
func (r *meteredRegexp) MatchString(s string) bool {
	r.meter.spend(1 + len(s)*r.instructions/64)
	return r.Regexp.MatchString(s)
}
