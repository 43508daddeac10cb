package data

import (
	"encoding/json"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// What the parts of a validation cost, in units of about 0.1 µs.
const (
	visitCost  = 4  // one subschema for one value
	numberCost = 10 // to read a number exactly, and its length besides
)

// gates puts the meter before each subschema. A gate pays for what its subschema
// does with a value, and for the visits of the subschemas below up to their own
// gates: what is checked there first are types and values, and where those do
// not fit nothing else is. A gate stands where the format of a string is
// checked, which comes next.
type gates struct {
	meter  *meter
	visits map[*jsonschema.Schema]int
	// unevaluated is set where a subschema asks which members others have
	// seen: each then notes them all.
	unevaluated bool
	// chain is how many subschemas can stand behind each other for one value.
	// The library looks at all of them to find circles.
	chain int
}

// close puts gates before all subschemas that can be reached from root.
func (m *meter) close(root *jsonschema.Schema) *gates {
	g := &gates{meter: m, visits: make(map[*jsonschema.Schema]int)}
	var all []*jsonschema.Schema
	seen := map[*jsonschema.Schema]bool{}
	open := []*jsonschema.Schema{root}
	for len(open) > 0 {
		s := open[len(open)-1]
		open = open[:len(open)-1]
		if s == nil || seen[s] {
			continue
		}
		seen[s] = true
		all = append(all, s)
		g.unevaluated = g.unevaluated || s.UnevaluatedItems != nil || s.UnevaluatedProperties != nil
		open = append(append(open, same(s)...), below(s)...)
	}
	heights := map[*jsonschema.Schema]int{}
	for _, s := range all {
		g.chain = max(g.chain, height(s, heights))
	}
	for _, s := range all {
		g.visits[s] = visitCost + g.chain/8 + valueCost(s)
	}
	for _, s := range all {
		g.put(s)
	}
	return g
}

// same are the subschemas that see the same value as s.
func same(s *jsonschema.Schema) []*jsonschema.Schema {
	out := []*jsonschema.Schema{s.Ref, s.RecursiveRef, s.Not, s.If, s.Then, s.Else}
	if s.DynamicRef != nil {
		out = append(out, s.DynamicRef.Ref)
	}
	out = append(append(append(out, s.AllOf...), s.AnyOf...), s.OneOf...)
	for _, d := range s.DependentSchemas {
		out = append(out, d)
	}
	for _, d := range s.Dependencies {
		if d, ok := d.(*jsonschema.Schema); ok {
			out = append(out, d)
		}
	}
	return out
}

// below are the subschemas that see what is in the value.
func below(s *jsonschema.Schema) []*jsonschema.Schema {
	out := []*jsonschema.Schema{s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.Items2020, s.UnevaluatedItems, s.ContentSchema}
	for _, v := range []any{s.AdditionalProperties, s.Items, s.AdditionalItems} {
		switch v := v.(type) {
		case *jsonschema.Schema:
			out = append(out, v)
		case []*jsonschema.Schema:
			out = append(out, v...)
		}
	}
	out = append(out, s.PrefixItems...)
	for _, p := range s.Properties {
		out = append(out, p)
	}
	for _, p := range s.PatternProperties {
		out = append(out, p)
	}
	return out
}

// height is how long the longest chain of subschemas for one value is.
func height(s *jsonschema.Schema, known map[*jsonschema.Schema]int) int {
	if s == nil {
		return 0
	}
	if n, ok := known[s]; ok {
		return n
	}
	known[s] = 0 // a circle ends here
	n := 0
	for _, next := range same(s) {
		n = max(n, height(next, known))
	}
	known[s] = n + 1
	return n + 1
}

// valueCost is what the comparison with constants costs.
func valueCost(s *jsonschema.Schema) int {
	cost := 0
	if s.Const != nil {
		cost += weight(*s.Const)
	}
	if s.Enum != nil {
		texts := 0 // most differ in their length already
		for _, v := range s.Enum.Values {
			if _, ok := v.(string); ok {
				texts += weight(v)
				continue
			}
			cost += weight(v)
		}
		cost += texts / 8
	}
	return cost
}

// weight is what a walk over all of a value costs, with its numbers read.
func weight(v any) int {
	switch v := v.(type) {
	case string:
		return 1 + len(v)/64
	case json.Number:
		return numberCost + len(v)/4
	case []any:
		n := 1
		for _, e := range v {
			n += weight(e)
		}
		return n
	case map[string]any:
		n := 1
		for k, e := range v {
			n += 2 + len(k)/64 + weight(e)
		}
		return n
	}
	return 1
}

// put gives s its gate.
func (g *gates) put(s *jsonschema.Schema) {
	if s.Bool != nil {
		return
	}
	self := 0
	for _, next := range same(s) {
		self += g.visit(next)
	}
	self += len(s.Required) / 4
	for _, names := range s.DependentRequired {
		self += 1 + len(names)/4
	}
	for re, p := range s.PatternProperties {
		if re, ok := re.(*meteredRegexp); ok {
			re.matched = g.visit(p)
		}
	}
	inObject, inArray := g.objectCost(s), g.arrayCost(s)
	format := s.Format
	name := ""
	if format != nil {
		name = format.Name
	}
	if name == "regex" { // the library has its own way for this name alone
		name, format = regexFormat, &jsonschema.Format{Validate: g.meter.isPattern}
	}
	s.Format = &jsonschema.Format{Name: name, Validate: func(v any) error {
		g.meter.spend(self)
		switch v := v.(type) {
		case map[string]any:
			g.meter.spend(inObject(v))
		case []any:
			g.meter.spend(inArray(v))
		case string:
			g.meter.spend(1 + len(v)/256)
			if s.MinLength != nil || s.MaxLength != nil {
				g.meter.spend(len(v) / 32)
			}
			if format != nil {
				g.meter.spend(formatCost(v))
			}
		case json.Number:
			if s.Minimum != nil || s.Maximum != nil || s.ExclusiveMinimum != nil || s.ExclusiveMaximum != nil || s.MultipleOf != nil {
				g.meter.spend(2*numberCost + len(v))
			}
		}
		if format == nil {
			return nil
		}
		return format.Validate(v)
	}}
}

// visit is what a visit of a subschema costs until its gate; nil is none.
func (g *gates) visit(s *jsonschema.Schema) int {
	if s == nil {
		return 0
	}
	return g.visits[s]
}

// objectCost returns what an object costs in s.
func (g *gates) objectCost(s *jsonschema.Schema) func(map[string]any) int {
	each := g.visit(s.PropertyNames) + g.visit(s.UnevaluatedProperties)
	if additional, ok := s.AdditionalProperties.(*jsonschema.Schema); ok {
		each += g.visit(additional)
	}
	if g.unevaluated {
		each += 4
	}
	usual := visitCost + g.chain/8
	dear := map[string]int{} // those that cost more than others
	for name, p := range s.Properties {
		if n := g.visit(p); n > usual {
			dear[name] = n
		}
	}
	return func(v map[string]any) int {
		cost := 1 + len(v)/3 + len(v)*each + min(len(v), len(s.Properties))*usual
		for name, n := range dear {
			if _, ok := v[name]; ok {
				cost += n
			}
		}
		return cost
	}
}

// arrayCost returns what an array costs in s.
func (g *gates) arrayCost(s *jsonschema.Schema) func([]any) int {
	each := g.visit(s.Contains) + g.visit(s.UnevaluatedItems) + g.visit(s.Items2020)
	if g.unevaluated {
		each += 2
	}
	first := make([]int, 0, len(s.PrefixItems))
	for _, p := range s.PrefixItems {
		first = append(first, g.visit(p))
	}
	return func(v []any) int {
		cost := 1 + len(v)/16 + len(v)*each
		for _, n := range first[:min(len(first), len(v))] {
			cost += n
		}
		if s.UniqueItems && len(v) > 1 {
			// Few elements are compared each with each, of more the hashes.
			times := 3
			if len(v) <= 20 {
				times = len(v) / 2
			}
			g.meter.spend(len(v)) // the walk itself
			cost += max(times, 1) * weight(v)
		}
		return cost
	}
}
