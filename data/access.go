package data

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/store/document"
)

// The permissions that the methods of [Service] ask [Access] for.
const (
	PermissionReadCollections  = "data.collections.read"
	PermissionWriteCollections = "data.collections.write"
	PermissionReadRecords      = "data.records.read"
	PermissionWriteRecords     = "data.records.write"
	PermissionDeleteRecords    = "data.records.delete"
)

// Access decides what a principal may do with the records of a collection. Every
// method of [Service] asks it, from Go and over HTTP alike, before it touches
// anything; what it answers holds for that call. It is called concurrently, and
// on the path of each call, so it should answer from memory.
type Access interface {
	// Allow answers for a permission of this package and a collection, which
	// need not exist. The name is empty where the collections of the tenant are
	// listed: the answer then says whether p may list at all, and each
	// collection of the list is asked for by its name and left out where the
	// answer is KindForbidden. The error refuses the call; who lacks the
	// permission gets one of [platform.KindForbidden].
	Allow(ctx context.Context, p platform.Principal, permission, collection string) (Grant, error)
}

// Grant is what a principal may do with the records of a collection. The zero
// value is everything that the permission names.
//
// A permission upon collections is granted whole or not at all: it is refused
// where its Grant has a limit.
type Grant struct {
	// Filter selects the records that the permission is for. It takes part in
	// lists, counts, queries and exports. A record outside of it is not found by
	// a get, a replace, a patch or a delete; a change, an import included, is
	// refused where the record would be outside of it afterwards.
	Filter document.Filter
	// Readable are the paths of the data that are shown, also in the answer to a
	// change; nil is all, and an empty slice is none. Filters and orders of the
	// caller may use no other. Ids, versions and times are always shown.
	Readable []string
	// Writable are the paths of the data that may be written; nil is all, and an
	// empty slice is none. A replace keeps what it may not write and does not
	// name. A path below a list makes no part of the list writable.
	Writable []string
}

// whole reports whether g has no limit.
func (g *Grant) whole() bool { return g.Filter.IsZero() && g.Readable == nil && g.Writable == nil }

// Authorizer decides whether a principal has a permission. It returns nil, or an
// error of [platform.KindForbidden]. The service of package user is one.
type Authorizer interface {
	Authorize(ctx context.Context, p platform.Principal, permission string) error
}

// Permissions is the [Access] that grants a permission upon all records or upon
// none. A system principal has every permission within its scopes (see
// [platform.System]); one that the host gave roles, and any other principal, has
// those that the Authorizer says. A request whose operation requires the
// permission, and was authorised by the gateway, is not asked about again.
//
// The Authorizer may be nil where nobody in this process knows what roles mean.
// Then nobody else has a permission: requests behind a gateway are served, and
// Go code works with [platform.System].
func Permissions(a Authorizer) Access { return permissions{a} }

type permissions struct{ authorizer Authorizer }

func (a permissions) Allow(ctx context.Context, p platform.Principal, permission, _ string) (Grant, error) {
	switch {
	case !p.InScope(permission):
		return Grant{}, platform.Errorf(platform.KindForbidden, "", "the principal's scopes do not reach %s", permission)
	case p.Kind == platform.PrincipalSystem && p.Roles == nil:
		return Grant{}, nil
	case operationPermission(platform.CheckedOperation(ctx, p)) == permission:
		return Grant{}, nil
	case a.authorizer != nil:
		return Grant{}, a.authorizer.Authorize(ctx, p, permission)
	}
	return Grant{}, platform.Errorf(platform.KindForbidden, "", "the principal has no permission %s", permission).
		Because(errNoAuthorizer)
}

var errNoAuthorizer = errors.New("data: no one knows the principal's roles: set data.Config.Access to data.Permissions(users), or call with platform.System")

// operationPermission is the permission that an operation of this package
// requires, "" for any other operation.
func operationPermission(operation string) string {
	switch operation {
	case "data.records.get", "data.records.list", "data.records.query", "data.records.count", "data.records.export":
		return PermissionReadRecords
	case "data.records.create", "data.records.replace", "data.records.patch", "data.records.import":
		return PermissionWriteRecords
	case "data.records.delete":
		return PermissionDeleteRecords
	case "data.collections.get", "data.collections.list":
		return PermissionReadCollections
	case "data.collections.create", "data.collections.update", "data.collections.delete":
		return PermissionWriteCollections
	}
	return ""
}

// grant asks for a permission upon the records of a collection.
func (s *Service) grant(ctx context.Context, p platform.Principal, permission, collection string) (Grant, error) {
	if err := p.RequireTenant(); err != nil {
		return Grant{}, err
	}
	if !collectionPattern.MatchString(collection) {
		return Grant{}, noCollection()
	}
	return s.access.Allow(ctx, p, permission, collection)
}

// allow asks for a permission upon a collection itself. The name is checked by
// whoever uses it.
func (s *Service) allow(ctx context.Context, p platform.Principal, permission, collection string) error {
	if err := p.RequireTenant(); err != nil {
		return err
	}
	g, err := s.access.Allow(ctx, p, permission, collection)
	if err == nil && !g.whole() {
		err = platform.Errorf(platform.KindForbidden, "", "the permission %s is needed for all records of the collection", permission)
	}
	return err
}

// admits reports whether a record is one that g is for.
func (g *Grant) admits(r *Record) bool {
	if g.Filter.IsZero() {
		return true
	}
	return g.Filter.MatchRecord(&document.Record{
		ID: r.ID, Version: r.Version, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, Data: r.Data,
	})
}

// show leaves of a record what may be read.
func (g *Grant) show(r *Record) { r.Data = document.Select(r.Data, g.Readable) }

// mayAsk refuses a filter or an order over fields that may not be read: what it
// selects would tell their values.
func (g *Grant) mayAsk(filter document.Filter, sort []document.SortField) error {
	if g.Readable == nil {
		return nil
	}
	at := ""
	if !allCovered(g.Readable, filter.Paths()) {
		at = "/filter"
	}
	for _, f := range sort {
		if !covers(g.Readable, f.Path) {
			at = "/sort"
		}
	}
	if at == "" {
		return nil
	}
	return &platform.Error{
		Kind: platform.KindForbidden, Code: "field_not_readable", Message: "filters and orders may use only fields that the principal may read",
		Fields: []platform.Field{{Path: at, Code: "not_readable", Detail: "may use only fields that the principal may read"}},
	}
}

func allCovered(fields, paths []string) bool {
	return !slices.ContainsFunc(paths, func(p string) bool { return !covers(fields, p) })
}

// covers reports whether a path is one of fields, or within one. In a filter a
// number is a place in a list, in a selection of fields it is a name; a field
// with one covers nothing, so that the two cannot differ.
func covers(fields []string, path string) bool {
	return strings.HasPrefix(path, "@") || slices.ContainsFunc(fields, func(f string) bool {
		rest, ok := strings.CutPrefix(path, f)
		return ok && (rest == "" || rest[0] == '.') && !hasNumber(f)
	})
}

func hasNumber(path string) bool {
	for name := range strings.SplitSeq(path, ".") {
		if _, err := strconv.Atoi(name); err == nil {
			return true
		}
	}
	return false
}

// hide takes out of an error what it says about fields that may not be read. The
// pointers to the data begin with base.
func (g *Grant) hide(err error, base string) error {
	var e *platform.Error
	if g.Readable == nil || !errors.As(err, &e) || len(e.Fields) == 0 || e.Code == notWritable {
		return err
	}
	shown := slices.DeleteFunc(slices.Clone(e.Fields), func(f platform.Field) bool {
		path := pathOf(f.Path, base)
		return path != "" && !covers(g.Readable, path)
	})
	if len(shown) == len(e.Fields) {
		return err
	}
	told := *e
	told.Fields = shown
	switch {
	case e.Code == "unique": // it names the fields of the index
		told.Message, told.Fields = "another record has the same values in a unique index", nil
	case len(shown) == 0:
		told.Fields = []platform.Field{{Path: orRoot(base), Code: "schema", Detail: "must fulfil the collection's schema in the fields that may not be read too"}}
	}
	return told.Because(err)
}

// pathOf is the path that a pointer into a record's data stands for, "" where it
// stands for the whole.
func pathOf(pointer, base string) string {
	path := strings.TrimPrefix(strings.TrimPrefix(pointer, base), "/")
	path = strings.ReplaceAll(path, "/", ".")
	return strings.ReplaceAll(strings.ReplaceAll(path, "~1", "/"), "~0", "~")
}
