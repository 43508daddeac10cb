package integration

import (
	"fmt"
	"strings"

	"pgregory.net/rapid"

	"github.com/acme/platform/store/document"
)

// The values are few, so that filters meet records, unique values collide and
// places in orders are shared.
var scalars = []string{
	`null`, `0`, `1`, `1.0`, `2`, `-1`, `2.5`, `0.1`, `1e2`, `9007199254740992`, `9007199254740993`, `"a"`, `"b"`, `""`, `"é"`, `"\u0000"`,
	`true`, `false`, `"` + strings.Repeat("long", 80) + `a"`, `"` + strings.Repeat("long", 80) + `b"`,
}

func genValue(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		if depth > 0 {
			switch rapid.IntRange(0, 6).Draw(t, "shape") {
			case 0, 1:
				return "[" + strings.Join(rapid.SliceOfN(genValue(depth-1), 0, 3).Draw(t, "array"), ",") + "]"
			case 2:
				return genObject(depth-1).Draw(t, "object")
			}
		}
		return rapid.SampledFrom(scalars).Draw(t, "scalar")
	})
}

func genObject(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var members []string
		names := rapid.SampledFrom([]string{"a", "b", "c", "0", "$x", "d.e"})
		for _, name := range rapid.SliceOfNDistinct(names, 0, 3, rapid.ID[string]).Draw(t, "names") {
			members = append(members, fmt.Sprintf("%q:%s", name, genValue(depth).Draw(t, name)))
		}
		return "{" + strings.Join(members, ",") + "}"
	})
}

var genPath = rapid.SampledFrom([]string{"a", "b", "c", "a.b", "a.0", "b.c", "@id", "@version", "@updated_at"})

var genSort = rapid.Custom(func(t *rapid.T) []document.SortField {
	var fields []document.SortField
	for _, path := range rapid.SliceOfNDistinct(genPath, 0, 3, rapid.ID[string]).Draw(t, "sort") {
		fields = append(fields, document.SortField{Path: path, Desc: rapid.Bool().Draw(t, "desc")})
	}
	return fields
})

func genFilter(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		var conditions []string
		for range rapid.IntRange(0, 2).Draw(t, "conditions") {
			if depth > 0 && rapid.IntRange(0, 4).Draw(t, "combine") == 0 {
				op := rapid.SampledFrom([]string{"$and", "$or", "$nor"}).Draw(t, "op")
				kids := rapid.SliceOfN(genFilter(depth-1), 1, 2).Draw(t, "kids")
				conditions = append(conditions, fmt.Sprintf("%q:[%s]", op, strings.Join(kids, ",")))
				continue
			}
			path := rapid.SampledFrom([]string{"a", "b", "c", "a.b", "a.0", "b.c", "@id", "@version"}).Draw(t, "path")
			conditions = append(conditions, fmt.Sprintf("%q:%s", path, genCondition(depth).Draw(t, "condition")))
		}
		return "{" + strings.Join(conditions, ",") + "}"
	})
}

func genCondition(depth int) *rapid.Generator[string] {
	value := genValue(1)
	return rapid.Custom(func(t *rapid.T) string {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0, 1:
			return value.Draw(t, "equal")
		case 2:
			return fmt.Sprintf(`{"$in":[%s]}`, strings.Join(rapid.SliceOfN(value, 0, 3).Draw(t, "in"), ","))
		case 3:
			return fmt.Sprintf(`{"$gt":%s,"$lte":%s}`, value.Draw(t, "gt"), value.Draw(t, "lte"))
		case 4:
			return fmt.Sprintf(`{"$gte":%s}`, value.Draw(t, "gte"))
		case 5:
			return fmt.Sprintf(`{"$lt":%s}`, value.Draw(t, "lt"))
		case 6:
			return rapid.SampledFrom([]string{
				`{"$exists":true}`, `{"$exists":false}`, `{"$type":"string"}`, `{"$type":["null","array","number"]}`,
				`{"$size":1}`, `{"$regex":"^lo"}`, `{"$regex":"A","$options":"i"}`, `{"$all":[1,"a"]}`,
			}).Draw(t, "fixed")
		case 7:
			return fmt.Sprintf(`{"$ne":%s}`, value.Draw(t, "ne"))
		case 8:
			if depth > 0 {
				return fmt.Sprintf(`{"$not":%s}`, operators(genCondition(depth-1).Draw(t, "not")))
			}
			return fmt.Sprintf(`{"$nin":[%s]}`, value.Draw(t, "nin"))
		}
		if depth > 0 && rapid.Bool().Draw(t, "of values") {
			return fmt.Sprintf(`{"$elemMatch":%s}`, operators(genCondition(depth-1).Draw(t, "elem")))
		}
		return fmt.Sprintf(`{"$elemMatch":{"b":%s}}`, value.Draw(t, "elem"))
	})
}

// operators makes a condition one that may stand where only operators may.
func operators(condition string) string {
	if strings.HasPrefix(condition, `{"$`) && !strings.HasPrefix(condition, `{"$x"`) {
		return condition
	}
	return `{"$eq":` + condition + `}`
}
