package platform_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
)

func TestTenantID(t *testing.T) {
	for id, valid := range map[platform.TenantID]bool{
		"org_01": true, "a": true, platform.TenantID(strings.Repeat("x", 64)): true,
		"": false, "a b": false, "a/b": false, "a'--": false, platform.TenantID(strings.Repeat("x", 65)): false, "é": false, "a\n": false,
	} {
		if err := id.Validate(); (err == nil) != valid || (err != nil && !errors.Is(err, platform.ErrNoTenant)) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestPrincipalFails(t *testing.T) {
	for name, ctx := range map[string]context.Context{
		"none":      t.Context(),
		"no tenant": platform.WithPrincipal(t.Context(), platform.Principal{Subject: "usr_1"}),
	} {
		if _, err := platform.PrincipalFrom(ctx); !errors.Is(err, platform.ErrUnauthenticated) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	want := platform.Principal{Tenant: "org_1", Subject: "usr_1", Kind: platform.PrincipalUser, Roles: []string{"owner"}}
	got, err := platform.PrincipalFrom(platform.WithPrincipal(t.Context(), want))
	if err != nil || got.String() != "user:usr_1@org_1" {
		t.Errorf("got %v, %v", got, err)
	}
	c := want.Clone()
	c.Roles[0] = "viewer"
	if want.Roles[0] != "owner" {
		t.Error("Clone shares the roles")
	}
}

func TestError(t *testing.T) {
	cause := errors.New("pq: secret detail")
	err := fmt.Errorf("user: %w", platform.Errorf(platform.KindConflict, "email_taken", "the e-mail is taken").Because(cause))
	if !errors.Is(err, platform.ErrConflict) || errors.Is(err, platform.ErrNotFound) || !errors.Is(err, cause) {
		t.Errorf("Is does not work on %v", err)
	}
	if !errors.Is(err, &platform.Error{Kind: platform.KindConflict, Code: "email_taken"}) ||
		errors.Is(err, &platform.Error{Kind: platform.KindConflict, Code: "exists"}) {
		t.Error("a code must be told from another")
	}
	if platform.KindOf(err) != platform.KindConflict || platform.KindOf(cause) != platform.KindInternal {
		t.Error("KindOf")
	}
	if e := platform.NotFound("record"); e.CodeOrKind() != "not_found" || e.Message != "no such record" {
		t.Errorf("got %+v", e)
	}
	inv := platform.Invalid(platform.Field{Path: "/email", Code: "required", Detail: "an e-mail is needed"})
	if got := inv.Error(); got != "invalid: the input is not valid; /email: an e-mail is needed" {
		t.Errorf("got %q", got)
	}
	if a, b := platform.NotFound("x"), platform.NotFound("x").Because(cause); a.Unwrap() != nil || b.Unwrap() == nil {
		t.Error("Because must not change its receiver")
	}
}

func TestKindNames(t *testing.T) {
	seen := map[string]bool{}
	for k := platform.KindInternal; k <= platform.KindNoTenant; k++ {
		if s := k.String(); s == "" || seen[s] || strings.HasPrefix(s, "kind(") {
			t.Errorf("kind %d is called %q", k, s)
		}
		seen[k.String()] = true
	}
	if got := platform.Kind(200).String(); got != "kind(200)" {
		t.Errorf("got %q", got)
	}
}

func TestAccess(t *testing.T) {
	if (platform.Access{}).Declared() {
		t.Error("the zero Access must be undeclared")
	}
	if a := platform.Require("data.records.read"); !a.Declared() || a.Public() || a.Permission() != "data.records.read" {
		t.Errorf("got %+v", a)
	}
	if a := platform.Public(); !a.Public() || a.Permission() != "" {
		t.Errorf("got %+v", a)
	}
	if a := platform.Authenticated(); !a.Declared() || a.Public() || a.Permission() != "" {
		t.Errorf("got %+v", a)
	}
	defer func() {
		if recover() == nil {
			t.Error("an empty permission must panic")
		}
	}()
	platform.Require("")
}

func TestGrants(t *testing.T) {
	for _, c := range []struct {
		pattern, permission string
		want                bool
	}{
		{"data.records.read", "data.records.read", true},
		{"data.records.read", "data.records.write", false},
		{"data.*", "data.records.read", true},
		{"data.records.*", "data.records.read", true},
		{"data.records.*", "data.recordsx.read", false},
		{"data.*", "data.", false},
		{"data*", "data.records.read", false},
		{"*", "anything", true},
		{"", "data.records.read", false},
		{"*.read", "data.records.read", false},
	} {
		if got := platform.Grants(c.pattern, c.permission); got != c.want {
			t.Errorf("%q grants %q: %v", c.pattern, c.permission, got)
		}
	}
	if !(platform.Principal{}).InScope("x") || (platform.Principal{Scopes: []string{}}).InScope("x") ||
		!(platform.Principal{Scopes: []string{"y", "x"}}).InScope("x") {
		t.Error("nil scopes are no limit, empty ones allow nothing")
	}
}

func TestEventValidate(t *testing.T) {
	good := platform.Event{ID: "evt_1", Source: "/data", Type: "data.record.created", Tenant: "org_1", Subject: "rec_1", Time: time.Now(), Data: json.RawMessage(`{}`)}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*platform.Event)
	}{
		{"/id", func(e *platform.Event) { e.ID = "" }},
		{"/id", func(e *platform.Event) { e.ID = "a\x00b" }},
		{"/source", func(e *platform.Event) { e.Source = "" }},
		{"/type", func(e *platform.Event) { e.Type = "" }},
		{"/subject", func(e *platform.Event) { e.Subject = "" }},
		{"/subject", func(e *platform.Event) { e.Subject = "\xff" }},
		{"/actor", func(e *platform.Event) { e.Actor = "\x00" }},
		{"/time", func(e *platform.Event) { e.Time = time.Time{} }},
		{"/data", func(e *platform.Event) { e.Data = json.RawMessage(`{`) }},
		{"/data", func(e *platform.Event) { e.Data = json.RawMessage("\"\xff\"") }},
	} {
		e, name := good, c.name
		c.change(&e)
		var perr *platform.Error
		if err := e.Validate(); !errors.As(err, &perr) || len(perr.Fields) != 1 || perr.Fields[0].Path != name {
			t.Errorf("%s: got %v", name, err)
		}
	}
	good.Tenant = ""
	if err := good.Validate(); !errors.Is(err, platform.ErrNoTenant) {
		t.Errorf("no tenant: got %v", err)
	}
}

func TestNewID(t *testing.T) {
	if id := platform.NewID("usr"); !regexp.MustCompile(`^usr_[0-9a-hjkmnp-tv-z]{26}$`).MatchString(id) {
		t.Errorf("got %q", id)
	}
	if id := platform.NewID(""); len(id) != 26 {
		t.Errorf("without a prefix: got %q", id)
	}
	seen := make(map[string]bool)
	for range 10_000 {
		id := platform.NewID("x")
		if seen[id] {
			t.Fatal("the same id twice")
		}
		seen[id] = true
	}
	now := time.UnixMilli(1_790_000_000_000)
	var ids []string
	for i := range 100 {
		ids = append(ids, platform.NewIDAt("x", now.Add(time.Duration(i)*time.Millisecond)))
	}
	if !slices.IsSorted(ids) {
		t.Error("later ids must sort later")
	}
}

func TestRequestID(t *testing.T) {
	if got := platform.RequestIDFrom(t.Context()); got != "" {
		t.Errorf("got %q", got)
	}
	if got := platform.RequestIDFrom(platform.WithRequestID(t.Context(), "req_1")); got != "req_1" {
		t.Errorf("got %q", got)
	}
}
