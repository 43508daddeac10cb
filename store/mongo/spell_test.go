package mongo

import (
	"bytes"
	"cmp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestSpelling holds the order and the ways back of what _ids are made of.
func TestSpelling(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gen := rapid.SliceOfN(rapid.ByteRange(0, 255), 0, 12)
		a, b := gen.Draw(t, "a"), gen.Draw(t, "b")
		if rapid.Bool().Draw(t, "begins") {
			b = append(bytes.Clone(a), b...)
		}
		if got, want := cmp.Compare(spellKey(a), spellKey(b)), bytes.Compare(a, b); got != want {
			t.Fatalf("%x and %x: spelled %d, want %d", a, b, got, want)
		}
		if back, err := readKey(spellKey(a)); err != nil || !bytes.Equal(back, a) {
			t.Fatalf("%x came back as %x, %v", a, back, err)
		}
		// With an id behind, keys come first, then ids.
		x, y := rapid.String().Draw(t, "x"), rapid.String().Draw(t, "y")
		if got, want := cmp.Compare(spellKey(a)+separator+spellID(x), spellKey(b)+separator+spellID(y)),
			cmp.Or(bytes.Compare(a, b), cmp.Compare(x, y)); got != want {
			t.Fatalf("(%x, %q) and (%x, %q): spelled %d, want %d", a, x, b, y, got, want)
		}
		s := spellID(x)
		if readID(s) != x || strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
			t.Fatalf("%q is spelled %q", x, s)
		}
	})
}
