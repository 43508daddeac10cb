package store_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
)

func TestCrossings(t *testing.T) {
	var of store.Crossings
	b := of.Grant("b.b", "does b")
	a := of.Grant("a.a", "does a")
	if again := of.Grant("b.b", "does b"); again != b {
		t.Error("the same name and reason give another token")
	}
	if got := of.List(); !slices.Equal(got, []store.Crossing{a, b}) {
		t.Errorf("the list is %v", got)
	}
	if b.Name() != "b.b" || b.Reason() != "does b" {
		t.Errorf("got %q, %q", b.Name(), b.Reason())
	}
	if err := of.Check(a); err != nil {
		t.Error(err)
	}
}

func TestCrossingsRefuse(t *testing.T) {
	var of, others store.Crossings
	var zero store.Crossing
	if zero.Name() != "" || zero.Reason() != "" {
		t.Errorf("the zero token is %q, %q", zero.Name(), zero.Reason())
	}
	for code, by := range map[string]store.Crossing{"no_crossing": zero, "other_crossing": others.Grant("a.a", "does a")} {
		if err := of.Check(by); !errors.Is(err, &platform.Error{Kind: platform.KindInternal, Code: code}) {
			t.Errorf("got %v, want %s", err, code)
		}
	}
	for _, c := range [][2]string{{"", "does a"}, {"a.a", ""}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q, %q: a token is handed out", c[0], c[1])
				}
			}()
			of.Grant(c[0], c[1])
		}()
	}
	if got := of.List(); len(got) != 0 {
		t.Errorf("the list is %v", got)
	}
}

func TestCrossingsAtOnce(t *testing.T) {
	var (
		of  store.Crossings
		all sync.WaitGroup
		got [16]store.Crossing
	)
	for i := range got {
		all.Go(func() {
			got[i] = of.Grant("a.a", "does a")
			_ = of.List()
		})
	}
	all.Wait()
	if len(of.List()) != 1 || len(slices.Compact(got[:])) != 1 {
		t.Errorf("%d tokens of one name", len(of.List()))
	}
}

// What reads one row takes the tenants' part of a store.
func TestReadRowOfATenantDB(t *testing.T) {
	var db store.TenantDB = testdb.New(t)
	var one int
	if err := store.ReadRow(context.Background(), db, "acme", "SELECT 1", nil, &one); err != nil || one != 1 {
		t.Errorf("got %d, %v", one, err)
	}
}
