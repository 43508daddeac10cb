package seal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/seal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// sealer is a process; change may alter its Config.
func sealer(tb testing.TB, keys seal.Keys, change ...func(*seal.Config)) *seal.Sealer {
	tb.Helper()
	cfg := seal.Config{Keys: keys}
	for _, f := range change {
		f(&cfg)
	}
	s, err := seal.New(cfg)
	must(tb, err)
	return s
}

var cell = store.Cell{Tenant: "org_a", Table: "t", Column: "c", Row: "r"}

// sealed seals in the cell.
func sealed(tb testing.TB, s *seal.Sealer, plain string) []byte {
	tb.Helper()
	out, err := s.Seal(tb.Context(), cell, []byte(plain))
	must(tb, err)
	return out
}

// opens fails unless the value opens as plain.
func opens(tb testing.TB, s *seal.Sealer, value []byte, plain string) {
	tb.Helper()
	if got, err := s.Open(tb.Context(), cell, value); err != nil || string(got) != plain {
		tb.Errorf("got %q, %v; want %q", got, err, plain)
	}
}

// closed fails unless the error is internal and its cause says the words.
func closed(tb testing.TB, s *seal.Sealer, at store.Cell, value []byte, says string) {
	tb.Helper()
	got, err := s.Open(tb.Context(), at, value)
	if platform.KindOf(err) != platform.KindInternal || got != nil || !strings.Contains(errors.Unwrap(err).Error(), says) {
		tb.Errorf("got %q, %v (%v); want an internal error because %s", got, err, errors.Unwrap(err), says)
	}
}

// A value opens at its cell and at no other, also where the parts of two cells give
// the same text when they are put together.
func TestBoundToItsCell(t *testing.T) {
	s := sealer(t, seal.Memory(""))
	value := sealed(t, s, "whsec_1")
	opens(t, s, value, "whsec_1")
	if bytes.Contains(value, []byte("whsec")) {
		t.Error("it stands in the clear")
	}
	if again := sealed(t, s, "whsec_1"); bytes.Equal(again, value) {
		t.Error("equal secrets can be told")
	}
	for _, other := range []store.Cell{
		{Tenant: "org_b", Table: "t", Column: "c", Row: "r"},
		{Tenant: "org_a", Table: "u", Column: "c", Row: "r"},
		{Tenant: "org_a", Table: "t", Column: "d", Row: "r"},
		{Tenant: "org_a", Table: "t", Column: "c", Row: "q"},
		{Tenant: "org_a", Table: "tc", Column: "", Row: "r"},
		{Tenant: "org_at", Table: "", Column: "c", Row: "r"},
		{Tenant: "org_a", Table: "t", Column: "cr", Row: ""},
		{},
	} {
		closed(t, s, other, value, "sealed for another cell")
	}
}

// What was changed, cut, or never sealed does not open, and the error does not show
// it.
func TestChangedValues(t *testing.T) {
	s := sealer(t, seal.Memory(""))
	value := sealed(t, s, "whsec_1")
	for i := range value {
		bad := bytes.Clone(value)
		bad[i] ^= 1
		if got, err := s.Open(t.Context(), cell, bad); err == nil {
			t.Errorf("byte %d changed: got %q", i, got)
		}
	}
	for _, bad := range [][]byte{nil, value[:4], value[:5], value[:20], append(bytes.Clone(value), 0)} {
		if got, err := s.Open(t.Context(), cell, bad); platform.KindOf(err) != platform.KindInternal || got != nil {
			t.Errorf("%d bytes: got %q, %v", len(bad), got, err)
		}
	}
	closed(t, s, cell, []byte("whsec_plain"), "it is not sealed")
	_, err := s.Open(t.Context(), cell, []byte("whsec_plain"))
	if strings.Contains(fmt.Sprint(err, errors.Unwrap(err)), "whsec_plain") {
		t.Errorf("the error shows it: %v", err)
	}
	if s.Current([]byte("whsec_plain")) || s.Current(nil) {
		t.Error("what is not sealed is called current")
	}
}

// A keyset of another installation opens nothing, and the error says where to look.
func TestAnotherKeyset(t *testing.T) {
	value := sealed(t, sealer(t, seal.Memory("")), "x")
	closed(t, sealer(t, seal.Memory("")), cell, value, "is not in memory: is this the keyset that it was sealed under?")
}

func TestConfig(t *testing.T) {
	_, err := seal.New(seal.Config{Reload: time.Millisecond})
	for _, says := range []string{`Config.Keys must be set, such as Keys: seal.File(`, "Config.Reload must be"} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q is not in: %v", says, err)
		}
	}
}

// The opener of an assembly takes its logger and clock.
func TestOpener(t *testing.T) {
	var log bytes.Buffer
	open := seal.Open(seal.File(t.TempDir() + "/acme.keys"))
	made, err := open(store.Env{Logger: slog.New(slog.NewTextHandler(&log, nil)), Now: time.Now})
	must(t, err)
	s, ok := made.(*seal.Sealer)
	if !ok || s.Name() != "seal" {
		t.Fatalf("got %T", made)
	}
	must(t, s.Start(t.Context()))
	if !strings.Contains(log.String(), "made a keyset") || !strings.Contains(log.String(), "acme.keys") {
		t.Errorf("the log says %q", log.String())
	}
	if says := s.Explain(); !strings.Contains(says, "the file ") || !strings.Contains(says, "acme.keys") {
		t.Errorf("explained as %q", says)
	}
}

// Fifty callers at first use make one keyset.
func TestFirstUseTogether(t *testing.T) {
	s := sealer(t, seal.Memory(""))
	var all sync.WaitGroup
	values := make([][]byte, 50)
	for i := range values {
		all.Go(func() { values[i] = sealed(t, s, "x") })
	}
	all.Wait()
	for _, v := range values {
		opens(t, s, v, "x")
	}
	if keys, err := s.List(t.Context()); err != nil || len(keys) != 1 {
		t.Errorf("got %v, %v", keys, err)
	}
}

// A place that does not answer is no internal error, and what was read before goes
// on.
func TestPlaceUnavailable(t *testing.T) {
	place := &failing{Keys: seal.Memory("")}
	now := time.Unix(1_000_000, 0)
	s := sealer(t, place, func(c *seal.Config) { c.Now = func() time.Time { return now } })
	place.err = errors.New("no answer")
	if err := s.Start(t.Context()); platform.KindOf(err) != platform.KindUnavailable {
		t.Errorf("got %v", err)
	}
	place.err = nil
	value := sealed(t, s, "x")
	place.err = errors.New("no answer")
	now = now.Add(time.Hour)
	opens(t, s, value, "x")
	opens(t, s, sealed(t, s, "y"), "y")
	if _, err := s.Rotate(t.Context()); platform.KindOf(err) != platform.KindUnavailable {
		t.Errorf("rotated: %v", err)
	}
}

// failing is a place that does not answer on demand.
type failing struct {
	seal.Keys
	err error
}

func (f *failing) Load(ctx context.Context) ([]byte, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Keys.Load(ctx)
}

func BenchmarkSeal(b *testing.B) {
	s := sealer(b, seal.Memory(""))
	plain := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Seal(b.Context(), cell, plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	s := sealer(b, seal.Memory(""))
	value, err := s.Seal(b.Context(), cell, make([]byte, 64))
	must(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Open(b.Context(), cell, value); err != nil {
			b.Fatal(err)
		}
	}
}
