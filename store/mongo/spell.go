package mongo

import (
	"encoding/base64"
	"strings"
)

// ordered is base64 whose letters stand in the order of their bytes, without
// padding, so that spellings have the order of what they spell. MongoDB would
// order binary values by their length first.
var ordered = base64.NewEncoding("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_abcdefghijklmnopqrstuvwxyz").WithPadding(base64.NoPadding)

// separator ends each part of an _id but the last. It comes before every letter
// that such a part holds, so that a part that begins another one comes first.
const separator = "!"

// afterSeparator ends a range of all that begins with a part.
const afterSeparator = "\""

// spellKey spells a key of an index.
func spellKey(key []byte) string { return ordered.EncodeToString(key) }

func readKey(s string) ([]byte, error) { return ordered.DecodeString(s) }

// NUL is written as 1 1 and 1 as 1 2, which keeps the order of ids.
var (
	escapes   = strings.NewReplacer("\x00", "\x01\x01", "\x01", "\x01\x02")
	unescapes = strings.NewReplacer("\x01\x01", "\x00", "\x01\x02", "\x01")
)

// spellID spells the id of a document, which is the last part of an _id.
func spellID(id string) string { return escapes.Replace(id) }

func readID(s string) string { return unescapes.Replace(s) }
