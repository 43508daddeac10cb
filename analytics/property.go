package analytics

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"github.com/acme/platform"
	"github.com/acme/platform/store/document"
)

// property reads one property of events.
type property struct{ path string } // in gjson's syntax

func newProperty(pointer, path string) (property, error) {
	if err := document.CheckPath(pointer, path); err != nil {
		return property{}, err
	}
	if strings.HasPrefix(path, "@") {
		return property{}, platform.Invalid(platform.Field{Path: pointer, Code: "path", Detail: "the path must name a property"})
	}
	names := strings.Split(path, ".")
	for i := range names {
		names[i] = gjson.Escape(names[i])
	}
	return property{strings.Join(names, ".")}, nil
}

// key appends the key of the event's group to buf and reports whether the
// property is there.
func (p property) key(buf, properties []byte) ([]byte, bool) {
	v := gjson.GetBytes(properties, p.path)
	switch v.Type {
	case gjson.Null: // absent, too
		return buf, false
	case gjson.String:
		buf = append(buf, v.Str...)
	case gjson.Number:
		buf = append(buf, canonicalNumber(v.Raw)...)
	case gjson.JSON:
		var compact bytes.Buffer
		if json.Compact(&compact, []byte(v.Raw)) != nil {
			return append(buf, v.Raw...), true
		}
		buf = append(buf, compact.Bytes()...)
	default:
		buf = append(buf, v.Raw...)
	}
	if len(buf) > maxKey {
		cut := maxKey
		for !utf8.RuneStart(buf[cut]) {
			cut--
		}
		buf = buf[:cut]
	}
	return buf, true
}

// canonicalNumber writes equal numbers alike: 1, 1.0 and 1e0. Integers stay as
// they are, also those that a float64 cannot hold.
func canonicalNumber(raw string) string {
	if !strings.ContainsAny(raw, ".eE") && raw != "-0" {
		return raw
	}
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil { // beyond float64
		return raw
	}
	if f == 0 {
		return "0"
	}
	out, err := json.Marshal(f)
	if err != nil { // a finite number always marshals
		return raw
	}
	return string(out)
}

// groups numbers the values of a property, in the order in which they come.
type groups struct {
	property property
	ids      map[string]int
	groups   []Group
	missing  int // its number, or -1
	buf      []byte
}

func newGroups(p property) *groups {
	return &groups{property: p, ids: make(map[string]int), missing: -1}
}

// of returns the number of the event's group, a new one where it has not come
// before.
func (g *groups) of(properties []byte) int {
	key, ok := g.property.key(g.buf[:0], properties)
	g.buf = key
	if !ok {
		if g.missing < 0 {
			g.missing = g.add(Group{Missing: true})
		}
		return g.missing
	}
	if id, ok := g.ids[string(key)]; ok {
		return id
	}
	id := g.add(Group{Key: string(key)})
	g.ids[g.groups[id].Key] = id
	return id
}

func (g *groups) add(group Group) int {
	g.groups = append(g.groups, group)
	return len(g.groups) - 1
}

// top returns the numbers of the limit groups with the greatest totals, equal
// ones by key, the missing value last.
func (g *groups) top(totals []int64, limit int) []int {
	order := make([]int, len(g.groups))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		if c := cmp.Compare(totals[b], totals[a]); c != 0 {
			return c
		}
		switch {
		case g.groups[a].Missing:
			return 1
		case g.groups[b].Missing:
			return -1
		}
		return cmp.Compare(g.groups[a].Key, g.groups[b].Key)
	})
	return order[:min(limit, len(order))]
}
