package page_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
)

func TestCursor(t *testing.T) {
	c := page.Cursor("audit", "a", "")
	key, err := page.Key("audit", 2, c)
	if err != nil || !slices.Equal(key, []string{"a", ""}) {
		t.Fatalf("got %v, %v", key, err)
	}
	for name, bad := range map[string]func() ([]string, error){
		"another list":  func() ([]string, error) { return page.Key("members", 2, c) },
		"another shape": func() ([]string, error) { return page.Key("audit", 1, c) },
		"no base64":     func() ([]string, error) { return page.Key("audit", 2, "!") },
		"no JSON":       func() ([]string, error) { return page.Key("audit", 2, "YWJj") },
	} {
		if _, err := bad(); !errors.Is(err, platform.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestCut(t *testing.T) {
	key := func(s string) []string { return []string{s} }
	rows, next := page.Cut("x", []string{"a", "b", "c"}, 2, key)
	if !slices.Equal(rows, []string{"a", "b"}) || next != page.Cursor("x", "b") {
		t.Errorf("got %v %q", rows, next)
	}
	if rows, next = page.Cut("x", []string{"a", "b"}, 2, key); len(rows) != 2 || next != "" {
		t.Errorf("the last page: got %v %q", rows, next)
	}
	if rows, _ = page.Cut("x", nil, 2, key); rows == nil {
		t.Error("an empty list must not be null in JSON")
	}
}
