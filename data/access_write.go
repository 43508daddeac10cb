package data

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/acme/platform"
)

const notWritable = "field_not_writable"

// keep returns new data with what stands in old and may not be written, and
// refuses data that changes it. What readable covers may be repeated as it is.
// Old is nil for a new record. Both are compact.
func (g *Grant) keep(old, data json.RawMessage, readable []string) (json.RawMessage, error) {
	if g.Writable == nil {
		return data, nil
	}
	k := keeper{out: make([]byte, 0, len(old)+len(data))}
	if k.object(old, data, g.Writable, readable, ""); k.refused != "" {
		return nil, errNotWritable(k.refused)
	}
	return k.out, nil
}

// mayPatch refuses a patch of what may not be written.
func (g *Grant) mayPatch(patch json.RawMessage) error {
	_, err := g.keep(nil, patch, nil)
	return err
}

// mayHold refuses a record that the grant is not for.
func (g *Grant) mayHold(r *Record) error {
	if g.admits(r) {
		return nil
	}
	return platform.Errorf(platform.KindForbidden, "record_not_allowed", "the principal may write no record with this content")
}

func errNotWritable(at string) error {
	return &platform.Error{
		Kind: platform.KindForbidden, Code: notWritable, Message: "the principal may not write some of the fields",
		Fields: []platform.Field{{Path: "/data" + at, Code: "not_writable", Detail: "may not be written by the principal"}},
	}
}

// keeper writes the outcome of a change to out, and notes the first member that
// may not be written.
type keeper struct {
	out     []byte
	refused string
}

// object appends data, an object, with what old has and may not be written. Nil
// readable is everything. A member that may be read can be repeated as it is;
// of one that may not, even that is refused, as it would confirm a guess.
func (k *keeper) object(old, data []byte, writable, readable []string, at string) {
	k.out = append(k.out, '{')
	empty := len(k.out)
	write := func(name string) {
		if len(k.out) > empty {
			k.out = append(k.out, ',')
		}
		k.out = append(appendString(k.out, name), ':')
	}
	for name, value := range members(data) {
		here := at + "/" + escapePointer(name)
		all, inner := pathsWithin(name, writable)
		seen, innerSeen := pathsWithin(name, readable)
		seen = seen || readable == nil
		was, had := memberOf(old, name)
		write(name)
		switch {
		case all:
			k.out = append(k.out, value...)
		case inner != nil && value[0] == '{' && (!had || was[0] == '{'):
			k.object(was, value, inner, innerFields(seen, innerSeen), here)
		case had && seen && bytes.Equal(was, value):
			k.out = append(k.out, value...)
		case k.refused == "":
			k.refused = here
		}
	}
	if old == nil {
		k.out = append(k.out, '}')
		return
	}
	for name, was := range members(old) {
		all, inner := pathsWithin(name, writable)
		if _, has := memberOf(data, name); has || all {
			continue
		}
		write(name)
		if inner != nil && was[0] == '{' {
			k.object(was, []byte("{}"), inner, nil, "")
		} else {
			k.out = append(k.out, was...)
		}
	}
	k.out = append(k.out, '}')
}

// innerFields are the readable paths within a member: nil where it is readable
// whole.
func innerFields(whole bool, inner []string) []string {
	if whole {
		return nil
	}
	return append([]string{}, inner...)
}

// pathsWithin reports whether a member is one of fields, or which paths inside it
// are.
func pathsWithin(name string, fields []string) (whole bool, inner []string) {
	for _, f := range fields {
		head, rest, more := strings.Cut(f, ".")
		switch {
		case head != name:
		case !more:
			return true, nil
		default:
			inner = append(inner, rest)
		}
	}
	return false, inner
}

func memberOf(object []byte, name string) ([]byte, bool) {
	if object == nil {
		return nil, false
	}
	return member(object, name)
}
