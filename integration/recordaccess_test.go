package integration

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/data"
	"github.com/acme/platform/platformtest/testclock"
	"github.com/acme/platform/store/document"
)

// ownRecords lets a person have the records whose owner they are, but not see
// their rating.
type ownRecords struct{}

func (ownRecords) Allow(_ context.Context, p platform.Principal, permission, _ string) (data.Grant, error) {
	if p.Kind == platform.PrincipalSystem {
		return data.Grant{}, nil
	}
	mine, err := document.ParseFilter([]byte(`{"owner":"` + p.Subject + `"}`))
	return data.Grant{Filter: mine, Readable: []string{"id", "owner", "title"}, Writable: []string{"id", "owner", "title"}}, err
}

// TestRecordAccess has a rule hold in whatever is asked and changed, on every
// store that keeps documents.
func TestRecordAccess(t *testing.T) {
	for _, docs := range documentStores(t, testclock.At(time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC))) {
		t.Run(docs.name, func(t *testing.T) { testRecordAccess(t, docs) })
	}
}

func testRecordAccess(t *testing.T, docs namedStore) {
	ctx := t.Context()
	records, err := data.New(data.Config{Documents: docs, Access: ownRecords{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = records.Stop(context.Background()) })
	tenant := platform.TenantID(platform.NewID("org"))
	host := platform.System(tenant, "host")
	ann := platform.Principal{Tenant: tenant, Subject: "ann", Kind: platform.PrincipalUser}
	if _, err := records.CreateCollection(ctx, host, data.Collection{Name: "films", Indexes: []data.Index{
		{Fields: []document.SortField{{Path: "owner"}, {Path: "title"}}}, {Fields: []document.SortField{{Path: "title"}}},
	}}); err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	for _, owner := range []string{"ann", "bob"} {
		for _, n := range []string{"1", "2", "3"} {
			file.WriteString(`{"id":"` + owner + n + `","owner":"` + owner + `","title":"` + n + `","rating":` + n + "}\n")
		}
	}
	byID := data.ImportOptions{Format: data.NDJSON, Key: "id"}
	if r, err := records.Import(ctx, host, "films", strings.NewReader(file.String()), byID); err != nil || r.Imported != 6 {
		t.Fatalf("got %+v %v", r, err)
	}

	seen := func(q data.Query) string {
		t.Helper()
		var out []string
		for {
			page, err := records.Find(ctx, ann, "films", q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Records {
				out = append(out, string(r.Data))
			}
			if q.Cursor = page.Next; page.Next == "" {
				return strings.Join(out, " ")
			}
		}
	}
	of := func(n string) string { return `{"id":"ann` + n + `","owner":"ann","title":"` + n + `"}` }
	for _, c := range []struct {
		q    data.Query
		want string
	}{
		{data.Query{Limit: 2}, of("1") + " " + of("2") + " " + of("3")},
		{data.Query{Limit: 1, Sort: "-title"}, of("3") + " " + of("2") + " " + of("1")},
		{data.Query{Filter: []byte(`{"title":"2"}`)}, of("2")},
		{data.Query{Filter: []byte(`{"owner":"bob"}`)}, ""},
		{data.Query{Filter: []byte(`{"$or":[{"owner":"bob"},{"title":{"$gte":"3"}}]}`), Fields: []string{"title", "rating"}}, `{"title":"3"}`},
	} {
		if got := seen(c.q); got != c.want {
			t.Errorf("%s %s: got %s, want %s", c.q.Filter, c.q.Sort, got, c.want)
		}
	}
	if n, err := records.Count(ctx, ann, "films", []byte(`{"title":{"$in":["1","2"]}}`)); err != nil || n != 2 {
		t.Errorf("count: got %d %v", n, err)
	}
	var out bytes.Buffer
	err = records.Export(ctx, ann, "films", &out, data.ExportOptions{Format: data.NDJSON, DataOnly: true})
	if err != nil || out.String() != of("1")+"\n"+of("2")+"\n"+of("3")+"\n" {
		t.Errorf("export: got %s %v", out.String(), err)
	}
	for _, q := range []data.Query{{Filter: []byte(`{"rating":1}`)}, {Sort: "-rating"}} {
		if _, err := records.Find(ctx, ann, "films", q); !errors.Is(err, platform.ErrForbidden) {
			t.Errorf("a question about a hidden field: got %v", err)
		}
	}

	_, errGet := records.Record(ctx, ann, "films", "bob1")
	_, errReplace := records.ReplaceRecord(ctx, ann, "films", "bob1", []byte(`{"owner":"ann"}`), []int64{1})
	_, errPatch := records.PatchRecord(ctx, ann, "films", "bob1", []byte(`{"owner":"ann"}`), nil)
	for name, err := range map[string]error{
		"get": errGet, "replace": errReplace, "patch": errPatch, "delete": records.DeleteRecord(ctx, ann, "films", "bob1", nil),
	} {
		if !errors.Is(err, platform.ErrNotFound) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if r, err := records.ReplaceRecord(ctx, ann, "films", "ann1", []byte(`{"owner":"ann","title":"new"}`), nil); err != nil || string(r.Data) != `{"owner":"ann","title":"new"}` {
		t.Errorf("replace: got %s %v", r.Data, err)
	}
	if _, err := records.PatchRecord(ctx, ann, "films", "ann1", []byte(`{"owner":"bob"}`), nil); !errors.Is(err, platform.ErrForbidden) {
		t.Errorf("to give a record away: got %v", err)
	}
	if err := records.DeleteRecord(ctx, ann, "films", "ann2", nil); err != nil {
		t.Error(err)
	}
	upserts := `{"id":"bob1","owner":"ann"}` + "\n" + `{"id":"ann3","owner":"bob"}` + "\n" + `{"id":"ann3","owner":"ann","rating":9}` + "\n" + `{"id":"ann3","owner":"ann","title":"up"}` + "\n"
	if r, err := records.Import(ctx, ann, "films", strings.NewReader(upserts), byID); err != nil || r.Failed != 3 || r.Updated != 1 {
		t.Errorf("import: got %+v %v", r, err)
	}

	out.Reset()
	if err := records.Export(ctx, host, "films", &out, data.ExportOptions{Format: data.NDJSON, DataOnly: true}); err != nil {
		t.Fatal(err)
	}
	want := `{"owner":"ann","title":"new","rating":1}
{"id":"ann3","owner":"ann","title":"up","rating":3}
{"id":"bob1","owner":"bob","title":"1","rating":1}
{"id":"bob2","owner":"bob","title":"2","rating":2}
{"id":"bob3","owner":"bob","title":"3","rating":3}
`
	if out.String() != want {
		t.Errorf("in the end: got\n%s", out.String())
	}
}
