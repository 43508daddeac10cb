package data_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/data"
)

// roles is an Authorizer.
type roles map[string]string // permission by subject

func (r roles) Authorize(_ context.Context, p platform.Principal, permission string) error {
	if r[p.Subject] == permission {
		return nil
	}
	return platform.Errorf(platform.KindForbidden, "", "no")
}

// calls are all methods, by the permission that they need.
var calls = map[string]func(context.Context, *data.Service, platform.Principal) error{
	data.PermissionReadRecords: func(ctx context.Context, s *data.Service, p platform.Principal) error {
		_, e1 := s.Record(ctx, p, "people", "a")
		_, e2 := s.Find(ctx, p, "people", data.Query{})
		_, e3 := s.Count(ctx, p, "people", nil)
		return same(e1, e2, e3, s.Export(ctx, p, "people", &bytes.Buffer{}, data.ExportOptions{Format: data.NDJSON}))
	},
	data.PermissionWriteRecords: func(ctx context.Context, s *data.Service, p platform.Principal) error {
		_, e1 := s.CreateRecord(ctx, p, "people", "", []byte(`{}`))
		_, e2 := s.ReplaceRecord(ctx, p, "people", "a", []byte(`{}`), nil)
		_, e3 := s.PatchRecord(ctx, p, "people", "a", []byte(`{}`), nil)
		_, e4 := s.Import(ctx, p, "people", strings.NewReader(`{}`), data.ImportOptions{Format: data.NDJSON})
		return same(e1, e2, e3, e4)
	},
	data.PermissionDeleteRecords: func(ctx context.Context, s *data.Service, p platform.Principal) error {
		return s.DeleteRecord(ctx, p, "people", "a", nil)
	},
	data.PermissionReadCollections: func(ctx context.Context, s *data.Service, p platform.Principal) error {
		_, e1 := s.Collections(ctx, p)
		_, e2 := s.Collection(ctx, p, "people")
		return same(e1, e2)
	},
	data.PermissionWriteCollections: func(ctx context.Context, s *data.Service, p platform.Principal) error {
		_, e1 := s.CreateCollection(ctx, p, data.Collection{Name: "new"})
		_, e2 := s.UpdateCollection(ctx, p, "people", data.CollectionChange{}, nil)
		return same(e1, e2, s.DeleteCollection(ctx, p, "people", nil))
	},
}

// same returns what all calls came to, and a fault where they differ.
func same(errs ...error) error {
	for _, err := range errs {
		if platform.KindOf(err) != platform.KindOf(errs[0]) || (err == nil) != (errs[0] == nil) {
			return errors.Join(errs...)
		}
	}
	return errs[0]
}

func TestMethodsAskForPermissions(t *testing.T) {
	users := data.Permissions(roles{"reader": data.PermissionReadRecords, "writer": data.PermissionWriteRecords})
	person := func(subject string, scopes ...string) platform.Principal {
		return platform.Principal{Tenant: acme, Subject: subject, Kind: platform.PrincipalAPIKey, Scopes: scopes}
	}
	host := platform.System(acme, "host")
	scoped := host
	scoped.Scopes = []string{"data.records.read"}
	limited := host
	limited.Roles = []string{"viewer"}
	for name, c := range map[string]struct {
		access data.Access
		p      platform.Principal
		may    []string // all other permissions are refused
	}{
		"nobody":                     {nil, person("reader"), nil},
		"a key's scopes are no role": {nil, person("reader", "*"), nil},
		"the host":                   {nil, host, []string{data.PermissionReadRecords, data.PermissionWriteRecords, data.PermissionDeleteRecords, data.PermissionReadCollections, data.PermissionWriteCollections}},
		"the host within scopes":     {nil, scoped, []string{data.PermissionReadRecords}},
		"the host with roles":        {nil, limited, nil},
		"a reader":                   {users, person("reader"), []string{data.PermissionReadRecords}},
		"a writer":                   {users, person("writer"), []string{data.PermissionWriteRecords}},
		"a key without the scope":    {users, person("writer", "data.records.read"), nil},
		"a key with the scope":       {users, person("writer", "data.records.*"), []string{data.PermissionWriteRecords}},
	} {
		for permission, call := range calls {
			b := ownedRecords(t)
			b.serveWith(data.Config{Documents: b.docs, Access: c.access})
			err := call(t.Context(), b.service, c.p)
			may := slices.Contains(c.may, permission)
			if may && err != nil || !may && platform.KindOf(err) != platform.KindForbidden {
				t.Errorf("%s, %s: got %v", name, permission, err)
			}
		}
	}
}

// A request that was authorised for its operation is not asked about again, and
// what a handler of the host calls is.
func TestTheCheckOfTheEdgeIsForItsOperation(t *testing.T) {
	b := ownedRecords(t)
	b.serveWith(data.Config{Documents: b.docs})
	asked := platform.WithPrincipal(t.Context(), ann)
	for _, r := range b.service.Routes() {
		for permission, call := range calls {
			err := call(platform.WithAccess(asked, r.Operation), b.service, ann)
			if platform.KindOf(err) == platform.KindForbidden == (permission == r.Access.Permission()) {
				t.Errorf("%s with the check of %s: got %v", permission, r.Operation, err)
			}
		}
		b = ownedRecords(t)
		b.serveWith(data.Config{Documents: b.docs})
	}
	for _, ctx := range []context.Context{
		platform.WithAccess(asked, "host.films.list"),
		platform.WithAccess(platform.WithPrincipal(t.Context(), platform.System(globex, "x")), "data.records.list"),
	} {
		if _, err := b.service.Find(ctx, ann, "people", data.Query{}); platform.KindOf(err) != platform.KindForbidden {
			t.Errorf("got %v", err)
		}
	}
}

func TestAccessCostsNothingByDefault(t *testing.T) {
	access := data.Permissions(nil)
	host := principal(acme)
	asked := platform.WithAccess(platform.WithPrincipal(context.Background(), ann), "data.records.get")
	for name, call := range map[string]func(){
		"the host":  func() { _, _ = access.Allow(context.Background(), host, data.PermissionReadRecords, "people") },
		"a request": func() { _, _ = access.Allow(asked, ann, data.PermissionReadRecords, "people") },
	} {
		if n := testing.AllocsPerRun(100, call); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
