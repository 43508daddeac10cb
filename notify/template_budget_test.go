package notify_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
)

// costly takes 500,000 calls on 64,000 bytes each, in about 2,000 bytes of source.
func costly() string {
	const depth = 100
	return `{{$x := .x}}{{range 5000}}{{len ` + strings.Repeat("(upper ", depth) + "$x" + strings.Repeat(")", depth) + `}}{{end}}`
}

// What stands within one step of a loop counts as what the loop does.
func TestRenderingHasOneBudget(t *testing.T) {
	keys := make(map[string]any)
	for i := range 5000 {
		keys[fmt.Sprint("k", i)] = i
	}
	list := make([]any, 30_000)
	values := map[string]any{
		"x": strings.Repeat("x", 64_000), "y": strings.Repeat("x", 64_000), "z": strings.Repeat("z", 30_000), "keys": keys, "list": list,
	}
	const steps, size = "the text takes more than 100000 steps", "the text works on more than 1048576 bytes"
	nested := func(call string, depth int) string {
		return strings.Repeat("("+call+" ", depth) + "1" + strings.Repeat(")", depth)
	}
	for name, c := range map[string]struct{ body, html, detail string }{
		"calls on long texts":     {costly(), "", size},
		"many calls":              {"{{range 1000}}{{if " + nested("not", 2000) + "}}{{end}}{{end}}", "", steps},
		"many arguments":          {"{{range 1000}}{{if and" + strings.Repeat(" 1", 5000) + "}}{{end}}{{end}}", "", steps},
		"comparisons":             {"{{range 1000}}{{if eq $.x $.y}}{{end}}{{end}}", "", size},
		"comparisons of a pipe":   {`{{range 1000}}{{if $.x | eq $.y}}{{end}}{{end}}`, "", size},
		"keys":                    {"{{range 1000}}{{index $.keys $.x | not}}{{end}}", "", size},
		"sorting":                 {"{{range 1000}}{{range $.keys}}{{break}}{{end}}{{end}}", "", steps},
		"printing":                {"{{range 1000}}{{if print $.list}}{{end}}{{end}}", "", "1: "},
		"joining":                 {`{{range 1000}}{{if join "" $.list}}{{end}}{{end}}`, "", "1: "},
		"a branch that never is":  {"{{range 30000}}{{if false}}{{.}}{{end}}{{end}}", "", steps},
		"escaped to nothing":      {"", "{{range 1000}}<!-- {{$.x}} -->{{end}}", size},
		"escaped in an attribute": {"", `{{range 1000}}<a href="{{$.x}}"></a>{{end}}`, "the result is too long"},
		"the parts together":      {"{{$z := .z}}{{range 12}}{{if upper $z}}{{end}}{{end}}", "{{$z := .z}}{{range 12}}{{if upper $z}}{{end}}{{end}}", size},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := preview(c.body, c.html, values)
			var e *platform.Error
			if !errors.As(err, &e) || e.Kind != platform.KindInvalid || len(e.Fields) != 1 || !strings.Contains(e.Fields[0].Detail, c.detail) {
				t.Fatalf("got %v", err)
			}
			if f := e.Fields[0]; f.Path != "/variables" || strings.Contains(f.Detail, "_") {
				t.Errorf("got %+v", f)
			}
		})
	}
}

// What an ordinary text does is far below the budget.
func TestOrdinaryTextsAreWithinTheBudget(t *testing.T) {
	rows := make([]any, 500)
	for i := range rows {
		rows[i] = map[string]any{"name": fmt.Sprint("row ", i), "n": i, "tags": []any{"a", "b"}}
	}
	body := `Hello {{.name | upper | default "you"}},
{{range $i, $r := .rows}}{{if gt $r.n 5}}{{$r.name}}: {{$r.n}} ({{join ", " $r.tags}}){{else}}{{$i}}{{end}}
{{end}}{{with .nobody}}{{.}}{{else}}{{$.name}}{{end}}`
	html := `<table>{{range .rows}}<tr title="{{.name}}"><td>{{.name}}</td><td>{{range .tags}}<a href="/?t={{.}}">{{.}}</a>{{end}}</td></tr>{{end}}</table>`
	text, page, err := preview(body, html, map[string]any{"rows": rows, "name": "Ann", "nobody": nil})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text, "Hello ANN,\n0\n1\n") || !strings.HasSuffix(text, "row 499: 499 (a, b)\nAnn") || strings.Count(page, "<tr") != 500 {
		t.Errorf("got %s\n%s", text, page)
	}
}

// html/template escapes the inside of a loop twice: of 30 loops within one
// another 2^30 times.
func TestNestedLoopsAreNotEscapedForEver(t *testing.T) {
	loops := func(n int) string {
		return strings.Repeat("{{range .x}}", n) + "a" + strings.Repeat("{{end}}", n)
	}
	_, _, err := preview("", loops(30), map[string]any{"x": nil})
	var e *platform.Error
	if !errors.As(err, &e) || len(e.Fields) != 1 || e.Fields[0].Path != "/html" || e.Fields[0].Detail != "loops are nested too deep" {
		t.Fatalf("got %v", err)
	}
	many := strings.Repeat("{{.x}};", 9000) // without loops the source is bound enough
	for _, html := range []string{loops(6), "<script>" + many + "</script>"} {
		if _, _, err := preview(loops(30), html, map[string]any{"x": nil}); err != nil {
			t.Error(err)
		}
	}
}

func TestRenderingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var s notify.Service
	_, _, _, err := s.Preview(ctx, notify.Template{Title: "t", Body: "{{range 4000}}{{end}}"}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// writes counts the transactions that may write.
type writes struct {
	store.Relational
	n atomic.Int64
}

func (w *writes) InTenant(ctx context.Context, t platform.TenantID, f func(context.Context, store.Tx) error, opts ...store.TxOption) error {
	if len(opts) == 0 {
		w.n.Add(1)
	}
	return w.Relational.InTenant(ctx, t, f, opts...)
}

// A text is made before the transaction, where it can hold up nobody.
func TestTextsAreMadeOutsideOfTransactions(t *testing.T) {
	db := &writes{}
	w := start(t, func(c *notify.Config) { db.Relational = c.DB; c.DB = db })
	ctx := context.Background()
	_, err := w.svc.CreateTemplate(ctx, platform.System(acme, "ann"), notify.Template{Name: "costly", Title: "t", Body: costly()})
	if err != nil {
		t.Fatal(err)
	}
	m := notify.Message{
		ID: "one", To: notify.Audience{Everyone: true}, Channels: []notify.Channel{notify.ChannelInbox},
		Template: "costly", Variables: map[string]any{"x": strings.Repeat("x", 60_000)},
	}
	before := db.n.Load()
	if _, err := w.svc.Send(ctx, platform.System(acme, "test"), m); !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("got %v", err)
	}
	if n := db.n.Load() - before; n != 0 {
		t.Errorf("%d transactions for a text that cannot be made", n)
	}

	// In the caller's transaction the text is left to a job.
	err = w.db.InTenant(ctx, acme, func(ctx context.Context, tx store.Tx) error {
		sent, err := w.svc.SendIn(ctx, platform.System(tx.Tenant(), "test"), tx, m)
		if err == nil && (sent.Status != notify.MessageAccepted || sent.Title != "") {
			t.Errorf("got %+v", sent)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var got notify.SentMessage
	eventually(t, "the message failed", func() bool {
		got, err = w.svc.Message(ctx, platform.System(acme, "test"), "one")
		return err == nil && got.Status == notify.MessageFailed
	})
	if !strings.Contains(got.Reason, "works on more than") || got.Inbox != 0 {
		t.Errorf("got %+v", got)
	}

	_, err = w.svc.UpdateTemplate(ctx, platform.System(acme, "ann"), "costly", func(t *notify.Template) { t.Body = "{{len .x}}" })
	if err != nil {
		t.Fatal(err)
	}
	m.ID = "two"
	err = w.db.InTenant(ctx, acme, func(ctx context.Context, tx store.Tx) error {
		_, err := w.svc.SendIn(ctx, platform.System(tx.Tenant(), "test"), tx, m)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the message", func() bool { return w.inbox(acme, "bob").Unread == 1 })
	if got := w.inbox(acme, "bob").Items[0]; got.Title != "t" || got.Body != "60000" {
		t.Errorf("got %+v", got)
	}
}

// Two changes of a template at once are both made, one after the other.
func TestTemplateChangedMeanwhile(t *testing.T) {
	w := start(t, nil)
	ctx := context.Background()
	tpl, err := w.svc.CreateTemplate(ctx, platform.System(acme, "ann"), notify.Template{Name: "n", Title: "t"})
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	got, err := w.svc.UpdateTemplate(ctx, platform.System(acme, "ann"), tpl.ID, func(t1 *notify.Template) {
		if calls++; calls == 1 {
			if _, err := w.svc.UpdateTemplate(ctx, platform.System(acme, "bob"), tpl.ID, func(t2 *notify.Template) { t2.Body = "bob's" }); err != nil {
				t.Error(err)
			}
		}
		t1.HTML = "ann's"
	})
	if err != nil || calls != 2 || got.Body != "bob's" || got.HTML != "ann's" {
		t.Errorf("after %d calls: %+v, %v", calls, got, err)
	}
	rule := costlyRule(t, w)
	calls = 0
	changed, err := w.svc.UpdateRule(ctx, platform.System(acme, "ann"), rule.ID, func(r1 *notify.Rule) {
		if calls++; calls == 1 {
			if _, err := w.svc.UpdateRule(ctx, platform.System(acme, "bob"), rule.ID, func(r2 *notify.Rule) { r2.Name = "bob's" }); err != nil {
				t.Error(err)
			}
		}
		r1.Channels[0] = notify.ChannelInbox
		r1.Title = "ann's"
	})
	if err != nil || calls != 2 || changed.Name != "bob's" || changed.Title != "ann's" {
		t.Errorf("after %d calls: %+v, %v", calls, changed, err)
	}
}
