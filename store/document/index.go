package document

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/acme/platform"
)

// MaxIndexKeys is the most keys that one record has in one index: the product
// of the numbers of values of the fields.
const MaxIndexKeys = 1000

// Index makes the keys under which records stand in an index. It is not
// changed once it is made and may be used by many goroutines.
type Index struct {
	fields []SortField
	paths  []path
}

// NewIndex returns the index over the fields. Errors are those of [CheckSort]
// with the field "/fields".
func NewIndex(fields []SortField) (*Index, error) {
	if err := CheckSort("/fields", fields); err != nil {
		return nil, err
	}
	x := &Index{fields: slices.Clone(fields), paths: make([]path, len(fields))}
	for i, f := range fields {
		x.paths[i], _ = parsePath(f.Path)
	}
	return x, nil
}

// Entries are the keys of one record in one index.
type Entries struct {
	// Keys are in order, each once. A key is that of each field, one after
	// the other.
	Keys [][]byte
	// Arrays has bit i set where field i met an array on its way. Where it is
	// not set the field has one value, which is its place in an order too.
	Arrays uint8
	// Cut has bit i set where a value of field i was too long for a key.
	Cut uint8
	// Present is set where the record has at least one of the fields.
	Present bool
}

// Keys returns the keys of r: for each combination of the values of the fields
// one. The values of a field that holds an array are its elements. An error is
// of KindInvalid: there are more than [MaxIndexKeys].
func (x *Index) Keys(r *Record) (Entries, error) {
	var e Entries
	root := trim(r.Data)
	e.Keys = [][]byte{make([]byte, 0, 32)}
	var values [][]byte
	for i := range x.paths {
		c := collector{desc: x.fields[i].Desc, keys: values[:0]}
		c.field(&x.paths[i], r, root)
		values = c.keys
		e.Present = e.Present || c.present
		if c.cut {
			e.Cut |= 1 << i
		}
		if !c.array {
			e.Keys = appendToAll(e.Keys, values[0])
			continue
		}
		e.Arrays |= 1 << i
		slices.SortFunc(values, bytes.Compare)
		values = slices.CompactFunc(values, bytes.Equal)
		if len(values)*len(e.Keys) > MaxIndexKeys {
			return Entries{}, platform.Invalid(platform.Field{
				Path: "/data", Code: "too_many",
				Detail: fmt.Sprintf("the arrays in an index over %s have more than %d combinations", x, MaxIndexKeys),
			})
		}
		e.Keys = product(e.Keys, values)
	}
	return e, nil
}

// String returns the fields as [ParseSort] reads them.
func (x *Index) String() string {
	var b []byte
	for i, f := range x.fields {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, f.String()...)
	}
	return string(b)
}

func appendToAll(keys [][]byte, value []byte) [][]byte {
	for i := range keys {
		keys[i] = append(keys[i], value...)
	}
	return keys
}

// product keeps the order: the keys of values are no beginnings of each other.
func product(keys, values [][]byte) [][]byte {
	all := make([][]byte, 0, len(keys)*len(values))
	for _, k := range keys {
		for _, v := range values {
			all = append(all, slices.Concat(k, v))
		}
	}
	return all
}

// collector finds the values of one field. They are those that a condition on
// the path may be met by, save whole arrays, and null for each way on which
// there is none.
type collector struct {
	desc                bool
	keys                [][]byte
	array, cut, present bool
}

func (c *collector) field(p *path, r *Record, root []byte) {
	if p.system {
		c.add(r.system(p.text))
		return
	}
	c.along(root, p.names)
}

func (c *collector) add(v []byte) {
	c.present = c.present || v != nil
	key := appendKey(make([]byte, 0, len(v)+8), v, c.desc)
	c.cut = c.cut || len(key) == MaxKeyBytes
	c.keys = append(c.keys, key)
}

func (c *collector) along(v []byte, names []name) {
	if len(names) == 0 {
		c.end(v)
		return
	}
	switch kindOf(v) {
	case kindObject:
		if v = lookup(v, names[0].text); v != nil {
			c.along(v, names[1:])
			return
		}
		c.add(nil)
	case kindArray:
		c.array = true
		c.through(v, names)
	default:
		c.add(nil)
	}
}

// through goes on into the elements of an array that is not the end.
func (c *collector) through(array []byte, names []name) {
	i := 0
	for e := (elements{raw: array}); e.next(); i++ {
		k := kindOf(e.value)
		if k == kindObject {
			c.along(e.value, names)
		} else {
			c.add(nil)
		}
		if i != names[0].index {
			continue
		}
		switch {
		case len(names) == 1:
			c.add(e.value)
			c.end(e.value)
		case k == kindObject || k == kindArray:
			c.along(e.value, names[1:])
		}
	}
	if i == 0 {
		c.add(nil)
	}
}

func (c *collector) end(v []byte) {
	if kindOf(v) != kindArray {
		c.add(v)
		return
	}
	c.array = true
	empty := true
	for e := (elements{raw: v}); e.next(); empty = false {
		c.add(e.value)
	}
	if empty {
		c.present = true
		c.keys = append(c.keys, appendEmptyArray(nil, c.desc))
	}
}

func appendEmptyArray(dst []byte, desc bool) []byte {
	if desc {
		return append(dst, ^byte(tagEmptyArray))
	}
	return append(dst, tagEmptyArray)
}
