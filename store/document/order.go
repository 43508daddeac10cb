package document

import "slices"

// Order places records. It is not changed once it is made and may be used by
// many goroutines.
type Order struct {
	fields []SortField
	paths  []path
}

// NewOrder returns the order by the fields. Errors are those of [CheckSort]
// with the field "/sort".
func NewOrder(fields []SortField) (*Order, error) {
	if err := CheckSort("/sort", fields); err != nil {
		return nil, err
	}
	o := &Order{fields: slices.Clone(fields), paths: make([]path, len(fields))}
	for i, f := range fields {
		o.paths[i], _ = parsePath(f.Path)
	}
	return o, nil
}

// AppendKey appends the key of r's place: keys in bytewise order are records
// in this order. Where no field of r meets an array or is too long for an
// index, the key is that of an [Index] over the same fields.
//
// Values that agree in the first 2,000 bytes of their keys are ordered in a
// way that is fixed but not that of [Compare].
func (o *Order) AppendKey(dst []byte, r *Record) []byte {
	root := trim(r.Data)
	for i := range o.paths {
		f := finder{desc: o.fields[i].Desc}
		if p := &o.paths[i]; p.system {
			f.value, f.found = r.system(p.text), true
		} else {
			f.along(root, p.names)
		}
		dst = f.appendKey(dst)
	}
	return dst
}

// Split takes a key of [Order.AppendKey] apart into that of each field; ok is
// false where it is no such key.
func (o *Order) Split(key []byte) (fields [][]byte, ok bool) {
	for _, f := range o.fields {
		var first []byte
		if first, key = splitKey(key, f.Desc, longKey); first == nil {
			return nil, false
		}
		fields = append(fields, first)
	}
	return fields, len(key) == 0
}

// finder takes the least value of a field, or the greatest.
type finder struct {
	desc         bool
	found, empty bool // empty: an empty array, which is less than null
	value        []byte
}

// longKey bounds the key of one value in an order, so that cursors are bounded.
const longKey = 2000

func (f *finder) appendKey(dst []byte) []byte {
	if f.empty {
		return appendEmptyArray(dst, f.desc)
	}
	return appendLongKey(dst, f.value, f.desc)
}

func (f *finder) take(v []byte, empty bool) {
	better := !f.found
	if f.found {
		c := compareBools(f.empty, empty) // an empty array is the least
		if c == 0 {
			c = compare(v, f.value)
		}
		better = c != 0 && (c > 0) == f.desc
	}
	if better {
		f.found, f.empty, f.value = true, empty, v
	}
}

func (f *finder) along(v []byte, names []name) {
	if len(names) == 0 {
		f.end(v)
		return
	}
	switch kindOf(v) {
	case kindObject:
		if v = lookup(v, names[0].text); v != nil {
			f.along(v, names[1:])
			return
		}
		f.take(nil, false)
	case kindArray:
		f.through(v, names)
	default:
		f.take(nil, false)
	}
}

func (f *finder) through(array []byte, names []name) {
	if names[0].index >= 0 {
		if v := element(array, names[0].index); v != nil {
			f.along(v, names[1:])
			return
		}
	}
	empty := true
	for e := (elements{raw: array}); e.next(); empty = false {
		if kindOf(e.value) == kindObject {
			f.along(e.value, names)
		} else {
			f.take(nil, false)
		}
	}
	if empty {
		f.take(nil, false)
	}
}

func (f *finder) end(v []byte) {
	if kindOf(v) != kindArray {
		f.take(v, false)
		return
	}
	empty := true
	for e := (elements{raw: v}); e.next(); empty = false {
		f.take(e.value, false)
	}
	if empty {
		f.take(nil, true)
	}
}
