package serverurl_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/acme/platform/internal/serverurl"
)

func TestParse(t *testing.T) {
	u, err := serverurl.Parse("mongodb+srv://a%2Fnn:p%40ss%3A%2F@one.example,two.example:27018/acme?tls=true&x=a%26b")
	if err != nil {
		t.Fatal(err)
	}
	want := serverurl.URL{
		Scheme: "mongodb+srv", User: "a/nn", Password: "p@ss:/", Hosts: []string{"one.example", "two.example:27018"}, Path: "acme",
		Query: map[string][]string{"tls": {"true"}, "x": {"a&b"}},
	}
	if !reflect.DeepEqual(u, want) {
		t.Errorf("got %+v", u)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, raw := range []string{
		"", "kafka://", "kafka:///topic", "kafka://u:hunter%2@a:1", "kafka://u:hunter2@x@a:1", "kafka://a b", "kafka://a/%zz", "kafka://a?x=%zz",
		"kafka://%zz@a",
	} {
		if _, err := serverurl.Parse(raw); !errors.Is(err, serverurl.ErrUnreadable) {
			t.Errorf("%q: got %v", raw, err)
		}
	}
}
