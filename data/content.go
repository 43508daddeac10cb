package data

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/acme/platform"
)

// Limits on JSON that no setting changes, because a store relies on them.
const (
	maxDepth    = 64  // levels of objects and arrays, the record's own the first
	maxNumber   = 512 // bytes of one number
	maxExponent = 400 // magnitude; a float64 ends at 308, and what computes with exact numbers must not meet 1e1000000
)

// scanner checks JSON of callers in one pass and copies it without white
// space. Strings and numbers stay as they were written. Beyond RFC 8259 it
// asks for what RFC 7493 (I-JSON) does, so that every store can keep the
// value: valid UTF-8, no surrogate on its own, no name twice in an object; and
// that no string holds NUL, which PostgreSQL cannot.
type scanner struct {
	in  []byte
	pos int
	out []byte

	anyKey bool // also empty names and those that start with '$'
	path   []segment
	keys   [][]byte // names of the objects that are open, for duplicates
}

// segment is one step of the path to the value that is being read.
type segment struct {
	key   []byte // nil in an array
	index int
}

// compactObject returns the JSON object in raw without white space, after the
// checks of [scanner], and names what is wrong by pointers that begin with base.
func compactObject(raw []byte, base string) ([]byte, error) {
	s := scanner{in: raw, out: make([]byte, 0, len(raw))}
	s.space()
	if err := s.object(base); err != nil {
		return nil, err
	}
	s.space()
	if s.pos != len(s.in) {
		return nil, s.malformed("text follows the value")
	}
	return s.out, nil
}

// object reads a value that must be an object.
func (s *scanner) object(base string) error {
	if s.pos < len(s.in) && s.in[s.pos] != '{' {
		// A value of another type may still be no JSON at all.
		if err := s.value(1, base); err != nil {
			return err
		}
		return platform.Invalid(platform.Field{Path: orRoot(base), Code: "type", Detail: "must be a JSON object"})
	}
	return s.value(1, base)
}

func orRoot(pointer string) string {
	if pointer == "" {
		return "/"
	}
	return pointer
}

func (s *scanner) malformed(what string) *platform.Error {
	return platform.Errorf(platform.KindMalformed, "malformed_json", "the JSON is not valid at byte %d: %s", s.pos, what)
}

func (s *scanner) invalid(base, code, detail string) *platform.Error {
	return platform.Invalid(platform.Field{Path: s.pointer(base), Code: code, Detail: detail})
}

// pointer returns the JSON pointer (RFC 6901) of the present place.
func (s *scanner) pointer(base string) string {
	var b strings.Builder
	b.WriteString(base)
	for _, seg := range s.path {
		b.WriteByte('/')
		if seg.key == nil {
			b.WriteString(strconv.Itoa(seg.index))
			continue
		}
		b.WriteString(escapePointer(string(seg.key)))
	}
	return orRoot(b.String())
}

func escapePointer(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}

func (s *scanner) space() {
	for s.pos < len(s.in) {
		switch s.in[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// value reads one value that begins at the present place.
func (s *scanner) value(depth int, base string) error {
	if s.pos >= len(s.in) {
		return s.malformed("it ends too early")
	}
	switch c := s.in[s.pos]; {
	case c == '{' || c == '[':
		if depth > maxDepth {
			return s.invalid(base, "too_deep", fmt.Sprintf("may be nested at most %d levels deep", maxDepth))
		}
		if c == '{' {
			return s.members(depth, base)
		}
		return s.elements(depth, base)
	case c == '"':
		_, err := s.text(base)
		return err
	case c == '-' || c >= '0' && c <= '9':
		return s.number(base)
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	}
	return s.malformed("a value must begin here")
}

func (s *scanner) literal(word string) error {
	if !bytes.HasPrefix(s.in[s.pos:], []byte(word)) {
		return s.malformed("a value must begin here")
	}
	s.pos += len(word)
	s.out = append(s.out, word...)
	return nil
}

func (s *scanner) members(depth int, base string) error {
	s.take() // {
	first := len(s.keys)
	defer func() { s.keys = s.keys[:first] }()
	s.space()
	if s.at('}') {
		s.take()
		return nil
	}
	var seen map[string]bool // of an object with many names
	for {
		if !s.at('"') {
			return s.malformed("a name in quotes must stand here")
		}
		key, err := s.text(base)
		if err != nil {
			return err
		}
		s.path = append(s.path, segment{key: key})
		if seen, err = s.name(base, key, first, seen); err != nil {
			return err
		}
		s.space()
		if !s.at(':') {
			return s.malformed("a colon must stand here")
		}
		s.take()
		s.space()
		if err := s.value(depth+1, base); err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
		s.space()
		if s.at('}') {
			s.take()
			return nil
		}
		if !s.at(',') {
			return s.malformed("a comma or a brace must stand here")
		}
		s.take()
		s.space()
	}
}

// manyNames is from how many names on an object's duplicates are looked up in
// a map; below it a walk is faster.
const manyNames = 24

// name checks the name of a member and remembers it; the names of the object
// begin at first.
func (s *scanner) name(base string, key []byte, first int, seen map[string]bool) (map[string]bool, error) {
	if !s.anyKey && (len(key) == 0 || key[0] == '$') {
		return seen, s.invalid(base, "name", "a name must not be empty and must not begin with '$'")
	}
	twice := false
	if seen != nil {
		twice = seen[string(key)]
		seen[string(key)] = true
	} else {
		for _, k := range s.keys[first:] {
			if bytes.Equal(k, key) {
				twice = true
			}
		}
	}
	if twice {
		return seen, s.invalid(base, "duplicate_name", "an object must not have a name twice")
	}
	s.keys = append(s.keys, key)
	if seen == nil && len(s.keys)-first == manyNames {
		seen = make(map[string]bool, 2*manyNames)
		for _, k := range s.keys[first:] {
			seen[string(k)] = true
		}
	}
	return seen, nil
}

func (s *scanner) elements(depth int, base string) error {
	s.take() // [
	s.space()
	if s.at(']') {
		s.take()
		return nil
	}
	for i := 0; ; i++ {
		s.path = append(s.path, segment{index: i})
		if err := s.value(depth+1, base); err != nil {
			return err
		}
		s.path = s.path[:len(s.path)-1]
		s.space()
		if s.at(']') {
			s.take()
			return nil
		}
		if !s.at(',') {
			return s.malformed("a comma or a bracket must stand here")
		}
		s.take()
		s.space()
	}
}

func (s *scanner) at(c byte) bool { return s.pos < len(s.in) && s.in[s.pos] == c }

func (s *scanner) take() {
	s.out = append(s.out, s.in[s.pos])
	s.pos++
}

// text reads a string and returns what it says.
func (s *scanner) text(base string) ([]byte, error) {
	start := s.pos
	s.pos++
	plain, escaped := true, false
	for {
		if s.pos >= len(s.in) {
			return nil, s.malformed("a string does not end")
		}
		switch c := s.in[s.pos]; {
		case c == '"':
			s.pos++
			raw := s.in[start:s.pos]
			if !plain && !utf8.Valid(raw) {
				s.pos = start
				return nil, s.malformed("a string is not valid UTF-8")
			}
			s.out = append(s.out, raw...)
			if !escaped {
				return raw[1 : len(raw)-1], nil
			}
			var said string
			if err := json.Unmarshal(raw, &said); err != nil {
				return nil, s.malformed("a string is not valid")
			}
			return []byte(said), nil
		case c < 0x20:
			return nil, s.malformed("a control character must be escaped")
		case c == '\\':
			escaped = true
			if err := s.escape(base); err != nil {
				return nil, err
			}
		default:
			plain = plain && c < utf8.RuneSelf
			s.pos++
		}
	}
}

func (s *scanner) escape(base string) error {
	if s.pos+1 >= len(s.in) {
		return s.malformed("a string does not end")
	}
	switch s.in[s.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos += 2
		return nil
	case 'u':
	default:
		return s.malformed("there is no such escape")
	}
	r, ok := s.hex(s.pos)
	if !ok {
		return s.malformed(`four hexadecimal digits must follow \u`)
	}
	switch {
	case r == 0:
		return s.invalid(base, "nul", "a string must not hold the character NUL")
	case r >= 0xDC00 && r <= 0xDFFF:
		return s.malformed("half a surrogate pair")
	case r >= 0xD800 && r <= 0xDBFF:
		low, ok := s.hex(s.pos + 6)
		if !ok || low < 0xDC00 || low > 0xDFFF {
			return s.malformed("half a surrogate pair")
		}
		s.pos += 12
		return nil
	}
	s.pos += 6
	return nil
}

// hex reads the escape \uXXXX at i.
func (s *scanner) hex(i int) (uint64, bool) {
	if i+6 > len(s.in) || s.in[i] != '\\' || s.in[i+1] != 'u' {
		return 0, false
	}
	r, err := strconv.ParseUint(string(s.in[i+2:i+6]), 16, 16)
	return r, err == nil
}

func (s *scanner) number(base string) error {
	n := numberLength(s.in[s.pos:])
	if n == 0 {
		return s.malformed("a number is not valid")
	}
	text := s.in[s.pos : s.pos+n]
	if n > maxNumber || exponent(text) > maxExponent {
		return s.invalid(base, "number_range", fmt.Sprintf(
			"a number may have %d characters, and an exponent from -%d to %[2]d", maxNumber, maxExponent))
	}
	s.out = append(s.out, text...)
	s.pos += n
	return nil
}
