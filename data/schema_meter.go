package data

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/acme/platform"
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
// takes 2^n. The meter stands before every subschema, see [gates], and ends the
// validation by a panic, for which the library has no other way.
type meter struct{ left int }

// caught turns the end of the budget into an error of the caller's; it is to be
// deferred.
func (*meter) caught(err *error, at, detail string) {
	if p := recover(); p != nil {
		if p != any(errBudget) {
			panic(p)
		}
		*err = platform.Invalid(platform.Field{Path: at, Code: "too_costly", Detail: detail})
	}
}

const (
	// validationBudget is about a tenth of a second of work on one core.
	validationBudget = 1_000_000
	// compilationBudget is about a second: a schema is compiled once.
	compilationBudget = 10_000_000
)

func (m *meter) spend(n int) {
	if m.left -= n; m.left < 0 {
		panic(errBudget)
	}
}

// compile is the engine for patterns: that of the standard library, which
// takes time linear in the text, with a limit on the factor.
func (m *meter) compile(pattern string) (jsonschema.Regexp, error) {
	parsed, err := m.parse(pattern)
	if err != nil {
		return nil, err
	}
	// Before it is written out, which takes the time of as many as it would be.
	if instructions(parsed) > 2*maxInstructions {
		return nil, errTooMany
	}
	m.spend(compileCost * instructions(parsed))
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, err
	}
	if len(prog.Inst) > maxInstructions {
		return nil, errTooMany
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	return &meteredRegexp{Regexp: re, meter: m, instructions: len(prog.Inst)}, nil
}

var errTooMany = errors.New("a pattern repeats too much")

const (
	// parseCost is for each byte of a pattern: a class of Unicode in two bytes
	// becomes hundreds of ranges.
	parseCost = 100
	// compileCost is for each instruction.
	compileCost = 10
)

// parse reads a pattern, and spends what that may cost before.
func (m *meter) parse(pattern string) (*syntax.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("a pattern may have %d bytes", maxPattern)
	}
	m.spend(parseCost * (1 + len(pattern)))
	return syntax.Parse(pattern, syntax.Perl)
}

// instructions is about how many a pattern is written out to.
func instructions(re *syntax.Regexp) int {
	n := 1
	if re.Op == syntax.OpLiteral {
		n += len(re.Rune)
	}
	for _, sub := range re.Sub {
		n += instructions(sub)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return min(n, 1<<20)
}

// regexFormat is the name of the format "regex" behind its gate.
const regexFormat = "regular expression"

// isPattern is the format "regex". A value of it is only read, never matched, so
// it is not written out.
func (m *meter) isPattern(v any) error {
	if s, ok := v.(string); ok {
		_, err := m.parse(s)
		return err
	}
	return nil
}

// formatCost is what the check of any other format may cost: each goes over the
// string a few times at most, and some split it.
func formatCost(s string) int { return 2 + len(s)/4 }

type meteredRegexp struct {
	*regexp.Regexp
	meter        *meter
	instructions int
	matched      int // what the visit costs that follows a match
}

// MatchString spends what the match may cost before it makes it.
func (r *meteredRegexp) MatchString(s string) bool {
	r.meter.spend(2 + len(s)*r.instructions/64)
	found := r.Regexp.MatchString(s)
	if found {
		r.meter.spend(r.matched)
	}
	return found
}
