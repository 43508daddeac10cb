package document_test

import (
	"testing"

	"github.com/acme/platform/store/document"
)

func TestAnd(t *testing.T) {
	parse := func(s string) document.Filter {
		f, err := document.ParseFilter([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	mine, asked := parse(`{"owner":"ann"}`), parse(`{"$or":[{"owner":"bob"},{"year":1927}]}`)
	both := mine.And(asked)
	if same := parse(both.String()); same.String() != both.String() {
		t.Errorf("the text %s reads as %s", both, same)
	}
	for data, want := range map[string]bool{
		`{"owner":"ann","year":1927}`: true, `{"owner":"ann"}`: false, `{"owner":"bob","year":1927}`: false,
	} {
		if both.Match([]byte(data), "") != want {
			t.Errorf("%s: got %v", data, !want)
		}
	}
	if got := (document.Filter{}).And(mine).String(); got != mine.String() {
		t.Errorf("got %s", got)
	}
	if got := mine.And(document.Filter{}).String(); got != mine.String() {
		t.Errorf("got %s", got)
	}
}
