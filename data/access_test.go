package data_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/data"
	"github.com/acme/platform/store/document"
)

// owned is an Access that lets a person have the records whose owner they are,
// without salary, and read their grade.
type owned struct{ tb testing.TB }

func (a owned) Allow(_ context.Context, p platform.Principal, permission, collection string) (data.Grant, error) {
	if p.Kind == platform.PrincipalSystem {
		return data.Grant{}, nil
	}
	if collection == "secret" {
		return data.Grant{}, platform.Errorf(platform.KindForbidden, "", "not yours")
	}
	if permission == data.PermissionReadCollections || permission == data.PermissionWriteCollections {
		return data.Grant{}, nil
	}
	filter, err := document.ParseFilter([]byte(`{"owner":"` + p.Subject + `"}`))
	if err != nil {
		a.tb.Error(err)
	}
	return data.Grant{
		Filter:   filter,
		Readable: []string{"owner", "title", "grade", "address.city"},
		Writable: []string{"owner", "title", "address.city"},
	}, nil
}

var (
	ann = platform.Principal{Tenant: acme, Subject: "ann", Kind: platform.PrincipalUser}
	bob = platform.Principal{Tenant: acme, Subject: "bob", Kind: platform.PrincipalUser}
)

// ownedRecords has a record of each of ann's and bob's.
func ownedRecords(t *testing.T) *bench {
	t.Helper()
	b := setup(t)
	b.serveWith(data.Config{Documents: b.docs, Access: owned{t}})
	host := principal(acme)
	for _, c := range []data.Collection{
		{Name: "people", Indexes: []data.Index{{Fields: []document.SortField{{Path: "salary"}}, Unique: true}}, Schema: json.RawMessage(`{"properties":{"title":{"type":"string"},"salary":{"maximum":100},"secret_code":{}}}`)},
		{Name: "secret"},
	} {
		if _, err := b.service.CreateCollection(t.Context(), host, c); err != nil {
			t.Fatal(err)
		}
	}
	for id, raw := range map[string]string{
		"a": `{"owner":"ann","title":"A","grade":1,"salary":10,"address":{"city":"Bern","street":"x"}}`,
		"b": `{"owner":"bob","title":"B","grade":2,"salary":20,"address":{"city":"Rome","street":"y"}}`,
	} {
		if _, err := b.service.CreateRecord(t.Context(), host, "people", id, json.RawMessage(raw)); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

const shownA = `{"owner":"ann","title":"A","grade":1,"address":{"city":"Bern"}}`

func wantCode(t *testing.T, what string, err error, kind platform.Kind, code string) {
	t.Helper()
	var e *platform.Error
	if !errors.As(err, &e) || e.Kind != kind || e.CodeOrKind() != code {
		t.Errorf("%s: got %v, want %v %s", what, err, kind, code)
	}
	for _, secret := range []string{"salary", "street", "20", "Rome"} {
		if err != nil && (strings.Contains(e.Message, secret) || strings.Contains(fieldsOf(e), secret)) {
			t.Errorf("%s: the error tells of %s: %v %v", what, secret, e.Message, e.Fields)
		}
	}
}

func fieldsOf(e *platform.Error) string {
	raw, _ := json.Marshal(e.Fields)
	return string(raw)
}

func TestAccessHoldsInReads(t *testing.T) {
	b := ownedRecords(t)
	ctx := t.Context()
	page, err := b.service.Find(ctx, ann, "people", data.Query{})
	if err != nil || len(page.Records) != 1 || string(page.Records[0].Data) != shownA {
		t.Errorf("list: got %+v %v", page.Records, err)
	}
	page, err = b.service.Find(ctx, ann, "people", data.Query{Filter: []byte(`{"$or":[{"title":"B"},{"owner":"bob"},{"title":"A"}]}`), Sort: "-title", Fields: []string{"title", "salary", "address"}})
	if err != nil || len(page.Records) != 1 || string(page.Records[0].Data) != `{"title":"A","address":{"city":"Bern"}}` {
		t.Errorf("query: got %+v %v", page.Records, err)
	}
	if n, err := b.service.Count(ctx, ann, "people", nil); err != nil || n != 1 {
		t.Errorf("count: got %d %v", n, err)
	}
	if n, err := b.service.Count(ctx, ann, "people", []byte(`{"title":"B"}`)); err != nil || n != 0 {
		t.Errorf("count of others: got %d %v", n, err)
	}
	if rec, err := b.service.Record(ctx, ann, "people", "a"); err != nil || string(rec.Data) != shownA {
		t.Errorf("get: got %s %v", rec.Data, err)
	}
	_, err = b.service.Record(ctx, ann, "people", "b")
	wantCode(t, "get", err, platform.KindNotFound, "not_found")
	for format, want := range map[data.Format]string{
		data.NDJSON: shownA + "\n", data.JSON: "[\n" + shownA + "\n]\n", data.CSV: "title\nA\n",
	} {
		var out bytes.Buffer
		err := b.service.Export(ctx, ann, "people", &out, data.ExportOptions{Format: format, DataOnly: true})
		if err != nil || out.String() != want {
			t.Errorf("export as %s: got %q %v", format, out.String(), err)
		}
	}
}

func TestAccessRefusesQuestionsAboutWhatIsHidden(t *testing.T) {
	b := ownedRecords(t)
	ctx := t.Context()
	for _, q := range []data.Query{
		{Filter: []byte(`{"salary":{"$gt":5}}`)},
		{Filter: []byte(`{"$or":[{"title":"A"},{"$nor":[{"salary":1}]}]}`)},
		{Filter: []byte(`{"address":{"city":"Bern","street":"x"}}`)},
		{Filter: []byte(`{"address.street":"x"}`)},
		{Filter: []byte(`{"address":{"$elemMatch":{"street":"x"}}}`)},
		{Sort: "title,-salary"},
	} {
		_, err := b.service.Find(ctx, ann, "people", q)
		wantCode(t, "list", err, platform.KindForbidden, "field_not_readable")
		err = b.service.Export(ctx, ann, "people", &bytes.Buffer{}, data.ExportOptions{Format: data.NDJSON, Filter: q.Filter, Sort: q.Sort})
		wantCode(t, "export", err, platform.KindForbidden, "field_not_readable")
		if q.Filter != nil {
			_, err = b.service.Count(ctx, ann, "people", q.Filter)
			wantCode(t, "count", err, platform.KindForbidden, "field_not_readable")
		}
	}
	if page, err := b.service.Find(ctx, ann, "people", data.Query{Filter: []byte(`{"address.city":"Bern","@id":"a"}`), Sort: "address.city,@created_at"}); err != nil || len(page.Records) != 1 {
		t.Errorf("got %v %v", page, err)
	}
}

func TestAccessHoldsInChanges(t *testing.T) {
	b := ownedRecords(t)
	ctx := t.Context()
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }

	for _, ifMatch := range [][]int64{nil, {1}, {7}} {
		_, err := b.service.ReplaceRecord(ctx, ann, "people", "b", raw(`{"owner":"ann"}`), ifMatch)
		wantCode(t, "replace", err, platform.KindNotFound, "not_found")
		_, err = b.service.PatchRecord(ctx, ann, "people", "b", raw(`{"title":"x"}`), ifMatch)
		wantCode(t, "patch", err, platform.KindNotFound, "not_found")
		wantCode(t, "delete", b.service.DeleteRecord(ctx, ann, "people", "b", ifMatch), platform.KindNotFound, "not_found")
	}
	_, err := b.service.CreateRecord(ctx, ann, "people", "", raw(`{"owner":"bob"}`))
	wantCode(t, "create for another", err, platform.KindForbidden, "record_not_allowed")
	_, err = b.service.ReplaceRecord(ctx, ann, "people", "a", raw(`{"owner":"bob"}`), nil)
	wantCode(t, "give away", err, platform.KindForbidden, "record_not_allowed")
	_, err = b.service.PatchRecord(ctx, ann, "people", "a", raw(`{"owner":null}`), nil)
	wantCode(t, "give up", err, platform.KindForbidden, "record_not_allowed")
	for _, refused := range []string{`{"owner":"ann","grade":9}`, `{"owner":"ann","address":"none"}`, `{"owner":"ann","address":{"city":"x","zip":1}}`} {
		_, err = b.service.CreateRecord(ctx, ann, "people", "", raw(refused))
		wantCode(t, "create "+refused, err, platform.KindForbidden, "field_not_writable")
		_, err = b.service.ReplaceRecord(ctx, ann, "people", "a", raw(refused), nil)
		wantCode(t, "replace "+refused, err, platform.KindForbidden, "field_not_writable")
		_, err = b.service.PatchRecord(ctx, ann, "people", "a", raw(refused), nil)
		wantCode(t, "patch "+refused, err, platform.KindForbidden, "field_not_writable")
	}
	// Repeating what is hidden would confirm a guess.
	var e *platform.Error
	if _, err = b.service.ReplaceRecord(ctx, ann, "people", "a", raw(`{"owner":"ann","salary":10}`), nil); !errors.As(err, &e) || e.Code != "field_not_writable" {
		t.Errorf("a right guess: got %v", err)
	}
	if _, err = b.service.PatchRecord(ctx, ann, "people", "a", raw(`{"salary":null}`), nil); !errors.As(err, &e) || e.Code != "field_not_writable" {
		t.Errorf("a removal: got %v", err)
	}

	rec, err := b.service.ReplaceRecord(ctx, ann, "people", "a", raw(`{"title":"New","owner":"ann","grade":1}`), nil)
	if err != nil || string(rec.Data) != `{"title":"New","owner":"ann","grade":1,"address":{}}` {
		t.Errorf("replace: got %s %v", rec.Data, err)
	}
	rec, err = b.service.PatchRecord(ctx, ann, "people", "a", raw(`{"address":{"city":"Oslo"}}`), []int64{rec.Version})
	if err != nil || string(rec.Data) != `{"title":"New","owner":"ann","grade":1,"address":{"city":"Oslo"}}` {
		t.Errorf("patch: got %s %v", rec.Data, err)
	}
	whole, err := b.service.Record(ctx, principal(acme), "people", "a")
	if err != nil || string(whole.Data) != `{"title":"New","owner":"ann","grade":1,"salary":10,"address":{"street":"x","city":"Oslo"}}` {
		t.Errorf("what ann may not write: got %s %v", whole.Data, err)
	}
	if rec, err = b.service.CreateRecord(ctx, bob, "people", "c", raw(`{"owner":"bob","title":"C"}`)); err != nil || string(rec.Data) != `{"owner":"bob","title":"C"}` {
		t.Errorf("create: got %s %v", rec.Data, err)
	}
	if err := b.service.DeleteRecord(ctx, bob, "people", "c", nil); err != nil {
		t.Error(err)
	}
}

// What was stored before a schema, or under a hidden value that must be unique,
// is not told to who may not read it.
func TestAccessHoldsInMessages(t *testing.T) {
	b := ownedRecords(t)
	ctx := t.Context()
	schema := json.RawMessage(`{"properties":{"salary":{"maximum":5},"title":{"minLength":2}}}`)
	if _, err := b.service.UpdateCollection(ctx, principal(acme), "people", data.CollectionChange{Schema: schema}, nil); err != nil {
		t.Fatal(err)
	}
	_, err := b.service.PatchRecord(ctx, ann, "people", "a", json.RawMessage(`{"title":"long"}`), nil)
	wantCode(t, "schema", err, platform.KindInvalid, "invalid")
	_, err = b.service.PatchRecord(ctx, ann, "people", "a", json.RawMessage(`{"title":"x"}`), nil)
	wantCode(t, "schema", err, platform.KindInvalid, "invalid")
	var e *platform.Error
	if errors.As(err, &e); len(e.Fields) != 1 || e.Fields[0].Path != "/data/title" {
		t.Errorf("got %v", e.Fields)
	}
	_, err = b.service.UpdateCollection(ctx, ann, "people", data.CollectionChange{Schema: schema, CheckRecords: true}, nil)
	wantCode(t, "check", err, platform.KindConflict, "records_invalid")

	blind := platform.Principal{Tenant: acme, Subject: "eve", Kind: platform.PrincipalUser}
	b.serveWith(data.Config{Documents: b.docs, Access: accessFunc(func(p platform.Principal) data.Grant {
		return data.Grant{Readable: []string{"title"}}
	})})
	_, err = b.service.CreateRecord(ctx, blind, "people", "", json.RawMessage(`{"salary":4}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.service.CreateRecord(ctx, blind, "people", "", json.RawMessage(`{"salary":4}`))
	wantCode(t, "unique", err, platform.KindConflict, "unique")
}

type accessFunc func(platform.Principal) data.Grant

func (f accessFunc) Allow(_ context.Context, p platform.Principal, _, _ string) (data.Grant, error) {
	return f(p), nil
}

func TestAccessHoldsInImports(t *testing.T) {
	b := ownedRecords(t)
	lines := strings.Join([]string{
		`{"owner":"ann","title":"n1","slug":"x"}`,             // slug cannot be written
		`{"owner":"bob","title":"n2"}`,                        // another's
		`{"owner":"ann","title":"n3"}`,                        // good
		`{"owner":"ann","title":"n4","address":{"city":"A"}}`, // good
	}, "\n")
	got, err := b.service.Import(t.Context(), ann, "people", strings.NewReader(lines), data.ImportOptions{Format: data.NDJSON})
	if err != nil || got.Imported != 2 || got.Failed != 2 || got.Errors[0].Code != "not_writable" || got.Errors[1].Code != "record_not_allowed" {
		t.Errorf("got %+v %v", got, err)
	}
	b.serveWith(data.Config{Documents: b.docs, Access: accessFunc(func(p platform.Principal) data.Grant {
		if p.Kind == platform.PrincipalSystem {
			return data.Grant{}
		}
		filter, err := document.ParseFilter([]byte(`{"owner":"` + p.Subject + `"}`))
		if err != nil {
			t.Error(err)
		}
		return data.Grant{Filter: filter, Writable: []string{"id", "owner", "title"}}
	})})
	lines = strings.Join([]string{
		`{"id":"a","owner":"ann","title":"upserted"}`,
		`{"id":"b","owner":"ann","title":"stolen"}`, // bob's
		`{"id":"d","owner":"ann","title":"one"}`,
		`{"id":"d","owner":"ann","title":"two"}`,
		`{"id":"d","owner":"bob","title":"given away"}`,
	}, "\n")
	got, err = b.service.Import(t.Context(), ann, "people", strings.NewReader(lines), data.ImportOptions{Format: data.NDJSON, Key: "id"})
	if err != nil || got.Imported != 1 || got.Updated != 2 || got.Failed != 2 || got.Errors[0].Line != 2 || got.Errors[1].Line != 5 {
		t.Errorf("got %+v %v", got, err)
	}
	for id, want := range map[string]string{
		"a": `{"id":"a","owner":"ann","title":"upserted","grade":1,"salary":10,"address":{"city":"Bern","street":"x"}}`,
		"b": `{"owner":"bob","title":"B","grade":2,"salary":20,"address":{"city":"Rome","street":"y"}}`,
		"d": `{"id":"d","owner":"ann","title":"two"}`,
	} {
		if rec, err := b.service.Record(t.Context(), principal(acme), "people", id); err != nil || string(rec.Data) != want {
			t.Errorf("%s: got %s %v", id, rec.Data, err)
		}
	}
}

func TestAccessHoldsForCollections(t *testing.T) {
	b := ownedRecords(t)
	ctx := t.Context()
	all, err := b.service.Collections(ctx, ann)
	if err != nil || len(all) != 1 || all[0].Name != "people" {
		t.Errorf("got %v %v", all, err)
	}
	_, err = b.service.Collection(ctx, ann, "secret")
	wantCode(t, "collection", err, platform.KindForbidden, "forbidden")
	b.serveWith(data.Config{Documents: b.docs, Access: accessFunc(func(platform.Principal) data.Grant {
		return data.Grant{Readable: []string{"title"}}
	})})
	wantCode(t, "a limited grant", b.service.DeleteCollection(ctx, ann, "people", nil), platform.KindForbidden, "forbidden")
	_, err = b.service.CreateCollection(ctx, ann, data.Collection{Name: "more"})
	wantCode(t, "a limited grant", err, platform.KindForbidden, "forbidden")
}

// The routes ask through the same methods.
func TestAccessHoldsOverHTTP(t *testing.T) {
	b := ownedRecords(t)
	do := func(method, path, body string) (int, string) {
		a := b.callBy(ann, method, path, body)
		return a.status, a.raw
	}
	if status, body := do(http.MethodGet, "/people/records?count=true", ""); status != 200 || !strings.Contains(body, `"total":1`) || strings.Contains(body, "salary") || strings.Contains(body, "bob") {
		t.Errorf("list: got %d %s", status, body)
	}
	for _, c := range []struct{ method, body string }{{"GET", ""}, {"DELETE", ""}, {"PATCH", `{"title":"x"}`}, {"PUT", `{"data":{"owner":"ann"}}`}} {
		if status, body := do(c.method, "/people/records/b", c.body); status != 404 {
			t.Errorf("%s: got %d %s", c.method, status, body)
		}
	}
	if status, body := do(http.MethodPost, "/people/records", `{"data":{"owner":"bob"}}`); status != 403 {
		t.Errorf("create: got %d %s", status, body)
	}
	if status, body := do(http.MethodPost, "/people/records/query", `{"filter":{"salary":20}}`); status != 403 {
		t.Errorf("query: got %d %s", status, body)
	}
}
