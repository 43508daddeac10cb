package document_test

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"
)

var genNumber = rapid.OneOf(
	rapid.SampledFrom([]string{
		"0", "-0", "0.0", "1", "1.0", "1e0", "10e-1", "-1", "0.1", "0.10", "1e-1", "9007199254740992", "9007199254740993",
		"9007199254740993.5", "18446744073709551615", "18446744073709551616", "-9223372036854775808", "1e300", "1E+300",
		"1e6000", "-1e-6000", "123456789012345678901234567890", "0.30000000000000004", "100", "99", "101", "1.5", "-1.5", "-1.25",
	}),
	rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?`),
)

var genString = rapid.OneOf(
	rapid.SampledFrom([]string{
		`""`, `"a"`, `"A"`, `"ab"`, `"\u0061"`, `"é"`, `"\u00e9"`, `"\u0000"`, `"a\u0000"`, `"a\u0000b"`, `"a\u0001"`, `"\ud83d\ude00"`,
		`"😀"`, `"\ud800"`, `"\"\\\/\n"`, `"` + strings.Repeat("x", 300) + `"`, `"` + strings.Repeat("x", 300) + `y"`,
		`"` + strings.Repeat("x", 219) + `"`, `"` + strings.Repeat("x", 221) + `"`, `"` + strings.Repeat("x", 222) + `"`,
	}),
	rapid.StringMatching(`"[a-c]{0,4}"`),
)

func genValue(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		top := 4
		if depth > 0 {
			top = 6
		}
		switch rapid.IntRange(0, top).Draw(t, "type") {
		case 0:
			return "null"
		case 1:
			return rapid.SampledFrom([]string{"false", "true"}).Draw(t, "bool")
		case 2:
			return genNumber.Draw(t, "number")
		case 3:
			return genString.Draw(t, "string")
		case 4:
			return rapid.SampledFrom([]string{"1", `"a"`, "2", "[]", "{}", "[1]", "[1,2]", `{"a":1}`}).Draw(t, "few")
		case 5:
			return "[" + strings.Join(rapid.SliceOfN(genValue(depth-1), 0, 3).Draw(t, "array"), ",") + "]"
		}
		return genObject(depth-1).Draw(t, "object")
	})
}

func genObject(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var members []string
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "0", "1"}), 0, 3, rapid.ID[string]).Draw(t, "names") {
			members = append(members, fmt.Sprintf("%q:%s", name, genValue(depth).Draw(t, name)))
		}
		return "{" + strings.Join(members, ",") + "}"
	})
}

var genPath = rapid.SampledFrom([]string{"a", "b", "a.b", "a.0", "a.0.b", "a.b.c", "a.1"})

func genFilter(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var parts []string
		for range rapid.IntRange(1, 2).Draw(t, "parts") {
			if depth > 0 && rapid.IntRange(0, 3).Draw(t, "combine") == 0 {
				parts = append(parts, fmt.Sprintf("%q:[%s]", rapid.SampledFrom([]string{"$and", "$or", "$nor"}).Draw(t, "op"),
					strings.Join(rapid.SliceOfN(genFilter(depth-1), 1, 2).Draw(t, "kids"), ",")))
				continue
			}
			parts = append(parts, fmt.Sprintf("%q:%s", genPath.Draw(t, "path"), genOperators(depth).Draw(t, "operators")))
		}
		return "{" + strings.Join(parts, ",") + "}"
	})
}

func genOperators(depth int) *rapid.Generator[string] {
	value := genValue(1)
	return rapid.Custom(func(t *rapid.T) string {
		var parts []string
		for range rapid.IntRange(1, 2).Draw(t, "parts") {
			switch op := rapid.SampledFrom([]string{
				"$eq", "$eq", "$gt", "$gte", "$lt", "$lte", "$ne", "$in", "$all", "$type", "$size", "$regex", "$exists", "$not", "$elemMatch", "$elemMatch",
			}).Draw(t, "op"); op {
			case "$in", "$all":
				parts = append(parts, fmt.Sprintf(`%q:[%s]`, op, strings.Join(rapid.SliceOfN(value, 0, 3).Draw(t, "list"), ",")))
			case "$type":
				parts = append(parts, fmt.Sprintf(`"$type":%q`, rapid.SampledFrom([]string{"null", "number", "string", "object", "array", "bool"}).Draw(t, "type")))
			case "$size":
				parts = append(parts, `"$size":1`)
			case "$regex":
				parts = append(parts, rapid.SampledFrom([]string{`"$regex":"^a"`, `"$regex":"b$"`, `"$regex":"^xxx"`, `"$regex":"^a|b"`}).Draw(t, "regex"))
			case "$exists":
				parts = append(parts, `"$exists":true`)
			case "$not":
				if depth > 0 {
					parts = append(parts, `"$not":`+genOperators(depth-1).Draw(t, "not"))
				}
			case "$elemMatch":
				if depth > 0 {
					inner := genOperators(depth - 1)
					if rapid.Bool().Draw(t, "of records") {
						inner = genFilter(depth - 1)
					}
					parts = append(parts, `"$elemMatch":`+inner.Draw(t, "elem"))
				}
			default:
				parts = append(parts, fmt.Sprintf(`%q:%s`, op, value.Draw(t, "value")))
			}
		}
		if len(parts) == 0 {
			return `{"$exists":true}`
		}
		// A name twice in a filter is as good as two conditions.
		return "{" + strings.Join(parts, ",") + "}"
	})
}
