package notify_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/notify"
)

// preview renders without a store.
func preview(body, html string, values map[string]any) (string, string, error) {
	var s notify.Service
	_, b, h, err := s.Preview(context.Background(), notify.Template{Title: "t", Body: body, HTML: html}, values)
	return b, h, err
}

func TestTemplates(t *testing.T) {
	values := map[string]any{
		"name": "<Ann>", "n": 1000000, "f": 1.5, "list": []any{"a", 2, true}, "empty": "",
		"nested": map[string]any{"x": "deep"}, "umlaut": "ä", "nul": "a\x00b",
	}
	for body, want := range map[string]string{
		"Hello {{.name}}":                   "Hello <Ann>",
		"{{.n}} {{.f}}":                     "1000000 1.5",
		"{{if gt .n 5}}many{{end}}":         "many",
		"{{range .list}}[{{.}}]{{end}}":     "[a][2][true]",
		`{{join ", " .list}}`:               "a, 2, true",
		`{{upper "x"}}{{lower "Y"}}`:        "Xy",
		`{{default "none" .empty}}`:         "none",
		`{{default "none" (index . "no")}}`: "none",
		`{{print .n "-" .f}}`:               "1000000-1.5",
		"{{.nested.x}}":                     "deep",
		"{{with .nested}}{{.x}}{{end}}":     "deep",
		"":                                  "",
		"{{slice .umlaut 0 1}}{{.nul}}":     "ab", // what every store takes
		"{{range .list}}{{else}}x{{end}}.":  ".",
	} {
		if got, _, err := preview(body, "", values); err != nil || got != want {
			t.Errorf("%s: got %q, %v", body, got, err)
		}
	}
	_, html, err := preview("", `<a title="{{.name}}">{{.name}}</a>`, values)
	if err != nil || html != `<a title="&lt;Ann&gt;">&lt;Ann&gt;</a>` {
		t.Errorf("html: %q, %v", html, err)
	}
	_, html, err = preview("", `<ul>{{range .list}}<li data-x="{{.}}">{{.}}</li>{{end}}</ul>`, values)
	if err != nil || html != `<ul><li data-x="a">a</li><li data-x="2">2</li><li data-x="true">true</li></ul>` {
		t.Errorf("html loop: %q, %v", html, err)
	}
}

func TestTemplateMistakes(t *testing.T) {
	for name, c := range map[string]struct{ body, html, path, detail string }{
		"syntax":            {"one\ntwo {{.name", "", "/body", "line 2: "},
		"unknown function":  {"\n\n{{system .x}}", "", "/body", `line 3: function "system" not defined`},
		"printf":            {`{{printf "%999999d" 1}}`, "", "/body", "the function printf is not available"},
		"call":              {"{{call .x}}", "", "/body", "the function call is not available"},
		"js in a sub-pipe":  {"{{if (js .x)}}{{end}}", "", "/body", "the function js is not available"},
		"js in a chain":     {"{{(js .x).y}}", "", "/body", "the function js is not available"},
		"template":          {`a{{template "body"}}`, "", "/body", "template is not available"},
		"define":            {`{{define "x"}}{{end}}`, "", "/body", "define and block"},
		"block":             {`{{block "x" .}}{{end}}`, "", "/body", "define and block"},
		"too long":          {strings.Repeat("x", 33<<10), "", "/body", "at most"},
		"html context":      {"", "a\n<a href={{if .x}}'{{end}}>", "/html", "line 2: "},
		"html syntax":       {"", "{{end}}", "/html", "line 1: "},
		"html and function": {"", "{{urlquery .x}}", "/html", "the function urlquery is not available"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := preview(c.body, c.html, nil)
			var e *platform.Error
			if !errors.As(err, &e) || e.Kind != platform.KindInvalid || len(e.Fields) != 1 {
				t.Fatalf("got %v", err)
			}
			if f := e.Fields[0]; f.Path != c.path || !strings.Contains(f.Detail, c.detail) {
				t.Errorf("got %+v", f)
			}
		})
	}
}

func TestTemplatesAreStrictAndBounded(t *testing.T) {
	long := strings.Repeat("x", 60<<10)
	list := make([]any, 1000)
	values := map[string]any{"long": long, "list": list, "n": int64(1) << 40, "m": map[string]any{}, "nothing": nil}
	for name, c := range map[string]struct{ body, html, detail string }{
		"missing":             {"a\n{{.nobody}}", "", `line 2: <.nobody>: map has no entry for key "nobody"`},
		"missing below":       {"{{.m.x}}", "", "map has no entry"},
		"missing in html":     {"", "{{.nobody}}", "map has no entry"},
		"too long":            {"{{.long}}{{.long}}", "", "the result is too long"},
		"endless loop":        {"{{range .n}}{{end}}", "", "the text takes more than 100000 steps"},
		"endless, with if":    {"{{range .n}}{{if false}}{{end}}{{end}}", "", "the text takes more than 100000 steps"},
		"endless, continue":   {"{{range .n}}{{continue}}{{end}}", "", "the text takes more than 100000 steps"},
		"endless in html":     {"", "{{range .n}}{{end}}", "the text takes more than 100000 steps"},
		"nested":              {"{{range $.list}}{{range $.list}}{{range $.list}}{{end}}{{end}}{{end}}", "", "the text takes more than 100000 steps"},
		"doubling":            {`{{$x := "xxxxxxxx"}}` + strings.Repeat("{{$x = print $x $x}}", 40), "", "larger than"},
		"doubling by join":    {`{{join .long $.list}}`, "", "larger than"},
		"not a list":          {`{{join "," .m}}`, "", "needs a list"},
		"index out of bounds": {`{{index .list 5000}}`, "", "out of range"},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, _, err := preview(c.body, c.html, values)
			var e *platform.Error
			if !errors.As(err, &e) || e.Kind != platform.KindInvalid || len(e.Fields) != 1 ||
				e.Fields[0].Path != "/variables" || !strings.Contains(e.Fields[0].Detail, c.detail) {
				t.Fatalf("got %v", err)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"Hello\r\nBcc: all@example.com": "Hello  Bcc: all@example.com",
		" a\tb\x00c\u2028d ":            "a b c d",
		"\xff":                          "",
		strings.Repeat("ä", 300):        strings.Repeat("ä", 248) + "…",
	} {
		got := notify.OneLine(in)
		if got != want {
			t.Errorf("%q: got %q", in, got)
		}
		if len(got) > 500 {
			t.Errorf("%d bytes", len(got))
		}
	}
}
