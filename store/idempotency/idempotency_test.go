package idempotency_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/platformtest/testclock"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

func TestMain(m *testing.M) { os.Exit(testdb.Main(m)) }

var ann = platform.Principal{Tenant: "org_a", Subject: "usr_ann", Kind: platform.PrincipalUser, Credential: "ses_1"}

type fixture struct {
	*idempotency.Keys
	place  *testdb.Place
	db     store.Relational
	clock  *testclock.Clock
	limits platform.Limits
}

func open(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{place: testdb.NewPlace(t), clock: testclock.At(time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC))}
	f.db = f.place.Open(t)
	var err error
	f.Keys, err = idempotency.New(idempotency.Config{
		DB: f.db, Now: f.clock.Now,
		Limits: func(context.Context, platform.TenantID) (platform.Limits, error) { return f.limits, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Stop(context.WithoutCancel(t.Context())) })
	return f
}

type answer struct{ ID, Token string }

// make is a service's method: effect is run in its transaction.
func (f *fixture) make(ctx context.Context, key *platform.IdempotencyKey, p platform.Principal, operation, in string, effect func(context.Context, store.Tx) (answer, error)) (answer, error) {
	call, err := f.Call(ctx, key, p, operation, in)
	if err != nil {
		return answer{}, err
	}
	var out answer
	err = f.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		return call.Do(ctx, tx, &out, func() error {
			var err error
			out, err = effect(ctx, tx)
			return err
		})
	})
	return out, err
}

func key(t *testing.T, text string) *platform.IdempotencyKey {
	t.Helper()
	k, err := platform.NewIdempotencyKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// counted is an effect that tells how often it was made.
func counted(n *int) func(context.Context, store.Tx) (answer, error) {
	return func(context.Context, store.Tx) (answer, error) {
		*n++
		return answer{fmt.Sprint("id_", *n), "secret-token-text"}, nil
	}
}

func code(err error) string {
	var e *platform.Error
	if !errors.As(err, &e) {
		return ""
	}
	return e.CodeOrKind()
}

func TestSecondCallGetsTheFirstAnswer(t *testing.T) {
	f, n := open(t), 0
	first := key(t, "key-1")
	one, err := f.make(t.Context(), first, ann, "things.create", "in", counted(&n))
	if err != nil || n != 1 || first.Replayed() {
		t.Fatalf("%+v, %v", one, err)
	}
	again := ann
	again.Credential = "ses_2" // the same person, signed in again
	second := key(t, "key-1")
	two, err := f.make(t.Context(), second, again, "things.create", "in", counted(&n))
	if err != nil || n != 1 || two != one || !second.Replayed() {
		t.Errorf("%d effects, %+v, %v", n, two, err)
	}
	if _, err := f.make(t.Context(), key(t, "key-1"), ann, "things.create", "other", counted(&n)); code(err) != "idempotency_key_reused" || !errors.Is(err, platform.ErrInvalid) {
		t.Errorf("another input: %v", err)
	}
	if n != 1 {
		t.Fatalf("%d effects", n)
	}
}

// The same text is another key for another tenant, caller or operation.
func TestWhoseKeyItIs(t *testing.T) {
	f, n := open(t), 0
	apiKey := platform.Principal{Tenant: "org_a", Subject: "usr_ann", Kind: platform.PrincipalAPIKey, Credential: "key_1"}
	other := apiKey
	other.Credential = "key_2"
	bob, elsewhere := ann, ann
	bob.Subject, elsewhere.Tenant = "usr_bob", "org_b"
	for i, c := range []struct {
		p         platform.Principal
		operation string
		text      string
	}{
		{ann, "things.create", "k"},
		{ann, "things.creat", "ek"}, // no two parts run together
		{ann, "things.delete", "k"},
		{ann, "things.create", "k2"},
		{bob, "things.create", "k"},
		{elsewhere, "things.create", "k"},
		{apiKey, "things.create", "k"},
		{other, "things.create", "k"},
	} {
		if _, err := f.make(t.Context(), key(t, c.text), c.p, c.operation, fmt.Sprint(i), counted(&n)); err != nil || n != i+1 {
			t.Errorf("%+v: %d effects, %v", c, n, err)
		}
	}
}

func TestNoKeyIsTwoCalls(t *testing.T) {
	f, n := open(t), 0
	for range 2 {
		if _, err := f.make(t.Context(), nil, ann, "things.create", "in", counted(&n)); err != nil {
			t.Fatal(err)
		}
	}
	if n != 2 {
		t.Errorf("%d effects", n)
	}
	call, err := f.Call(t.Context(), nil, ann, "things.create", make(chan int)) // it cannot be JSON
	if call != nil || err != nil {
		t.Errorf("a call without a key costs: %v, %v", call, err)
	}
}

// A refused call commits nothing, so the same call may succeed later.
func TestRefusalIsNotKept(t *testing.T) {
	f, n := open(t), 0
	refused := platform.Errorf(platform.KindConflict, "taken", "it is taken")
	_, err := f.make(t.Context(), key(t, "k"), ann, "things.create", "in", func(context.Context, store.Tx) (answer, error) { return answer{}, refused })
	if !errors.Is(err, error(refused)) {
		t.Fatal(err)
	}
	if _, err := f.make(t.Context(), key(t, "k"), ann, "things.create", "in", counted(&n)); err != nil || n != 1 {
		t.Errorf("%d effects, %v", n, err)
	}
}

// Nobody who reads the database reads the key, the input or the answer.
func TestNothingIsReadable(t *testing.T) {
	f, n := open(t), 0
	if _, err := f.make(t.Context(), key(t, "the-key-itself"), ann, "things.create", "secret-input-text", counted(&n)); err != nil {
		t.Fatal(err)
	}
	contents := f.place.Contents(t)
	if !strings.Contains(contents, "things.create") {
		t.Fatal("the row is not among the contents")
	}
	for _, text := range []string{"the-key-itself", "secret-input-text", "secret-token-text"} {
		if strings.Contains(contents, text) || strings.Contains(contents, fmt.Sprintf("%x", text)) {
			t.Errorf("%s is readable", text)
		}
	}
}

// 64 callers with one key: the effect happens once, and each gets its answer or
// is told to wait.
func TestManyCallersWithOneKey(t *testing.T) {
	f := open(t)
	var (
		wg        sync.WaitGroup
		mu        sync.Mutex
		committed int
		answers   = map[answer]int{}
	)
	for i := range 64 {
		wg.Go(func() {
			for {
				k := key(t, "k")
				out, err := f.make(t.Context(), k, ann, "things.create", "in", func(ctx context.Context, tx store.Tx) (answer, error) {
					tx.AfterCommit(func() { mu.Lock(); committed++; mu.Unlock() })
					return answer{ID: fmt.Sprint(i)}, nil
				})
				if code(err) == "idempotency_running" {
					continue
				}
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				answers[out]++
				mu.Unlock()
				return
			}
		})
	}
	wg.Wait()
	if committed != 1 || len(answers) != 1 {
		t.Errorf("%d effects, %d answers", committed, len(answers))
	}
}

// A call that comes while the first one runs is told so where it could only wait.
func TestRunningCall(t *testing.T) {
	f, n := open(t), 0
	inside, finish := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, err := f.make(t.Context(), key(t, "k"), ann, "things.create", "in", func(context.Context, store.Tx) (answer, error) {
			close(inside)
			<-finish
			return answer{ID: "first"}, nil
		})
		done <- err
	}()
	<-inside
	if testdb.OnPostgres() {
		_, err := f.make(t.Context(), key(t, "k"), ann, "things.create", "in", counted(&n))
		var e *platform.Error
		if code(err) != "idempotency_running" || !errors.As(err, &e) || e.Kind != platform.KindConflict || e.RetryAfter <= 0 {
			t.Errorf("while the first runs: %v", err)
		}
		close(finish)
	} else { // one writer: the second waits its turn
		close(finish)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	out, err := f.make(t.Context(), key(t, "k"), ann, "things.create", "in", counted(&n))
	if err != nil || out.ID != "first" || n != 0 {
		t.Errorf("after the first: %+v, %v", out, err)
	}
}

// After 24 hours a key is a new one, and its row is removed.
func TestKeysAreForgotten(t *testing.T) {
	f, n := open(t), 0
	for range 2 {
		if _, err := f.make(t.Context(), key(t, "k"), ann, "things.create", "in", counted(&n)); err != nil {
			t.Fatal(err)
		}
	}
	f.clock.Advance(idempotency.TTL - time.Second)
	if _, err := f.make(t.Context(), key(t, "k"), ann, "things.create", "in", counted(&n)); err != nil || n != 1 {
		t.Fatalf("%d effects, %v", n, err)
	}
	f.clock.Advance(time.Second)
	if u, err := f.Usage(t.Context(), ann.Tenant); err != nil || u.Used != 0 {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := f.make(t.Context(), key(t, "k"), ann, "things.create", "other", counted(&n)); err != nil || n != 2 {
		t.Errorf("%d effects, %v", n, err)
	}
	f.clock.Advance(idempotency.TTL)
	if more, err := f.RemoveOld(t.Context()); err != nil || more {
		t.Fatal(more, err)
	}
	if rows := f.rows(t); rows != 0 {
		t.Errorf("%d rows are left", rows)
	}
}

func (f *fixture) rows(t *testing.T) (n int) {
	t.Helper()
	if err := store.ReadRow(t.Context(), f.db, ann.Tenant, `SELECT count(*) FROM idempotency_keys WHERE tenant = ?`, []any{string(ann.Tenant)}, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A tenant without room makes no new key; the keys that it has are answered.
func TestKeysAreLimited(t *testing.T) {
	f, n := open(t), 0
	f.limits.IdempotencyKeys = 3
	for i := range 3 {
		if _, err := f.make(t.Context(), key(t, fmt.Sprint(i)), ann, "things.create", "in", counted(&n)); err != nil {
			t.Fatal(err)
		}
		f.clock.Advance(time.Hour)
	}
	_, err := f.make(t.Context(), key(t, "3"), ann, "things.create", "in", counted(&n))
	var e *platform.Error
	if !errors.As(err, &e) || e.Code != "rate_exceeded" || e.RetryAfter != 21*time.Hour || n != 3 {
		t.Errorf("%d effects, %v", n, err)
	}
	if _, err := f.make(t.Context(), key(t, "1"), ann, "things.create", "in", counted(&n)); err != nil || n != 3 {
		t.Errorf("a kept key: %d effects, %v", n, err)
	}
	if u, err := f.Usage(t.Context(), ann.Tenant); err != nil || u.Used != 3 || u.Limit != 3 || u.Name != "idempotency_keys" {
		t.Errorf("%+v, %v", u, err)
	}
	other := ann
	other.Tenant = "org_b"
	if _, err := f.make(t.Context(), key(t, "3"), other, "things.create", "in", counted(&n)); err != nil {
		t.Errorf("another tenant: %v", err)
	}
	f.limits.IdempotencyKeys = -1
	if _, err := f.make(t.Context(), key(t, "4"), ann, "things.create", "in", counted(&n)); err != nil {
		t.Errorf("without a limit: %v", err)
	}
}

// A large answer is kept as the id of what it showed.
func TestLargeAnswers(t *testing.T) {
	f := open(t)
	large := answer{ID: "thing_1", Token: strings.Repeat("x", idempotency.MaxAnswer)}
	for name, first := range map[string]answer{"large": large, "small": {ID: "thing_2"}} {
		reread := 0
		for i := range 2 {
			k := key(t, name)
			call, err := f.Call(t.Context(), k, ann, "things.create", "in")
			if err != nil {
				t.Fatal(err)
			}
			var out answer
			err = f.db.InTenant(t.Context(), ann.Tenant, func(ctx context.Context, tx store.Tx) error {
				return call.DoLarge(ctx, tx, &out, func() error { out = first; return nil },
					func() string { return out.ID },
					func(id string) error { reread++; out = answer{ID: id, Token: first.Token}; return nil })
			})
			if err != nil || out != first || k.Replayed() != (i == 1) {
				t.Errorf("%s, call %d: %v", name, i, err)
			}
		}
		if want := map[string]int{"large": 1, "small": 0}[name]; reread != want {
			t.Errorf("%s: read %d times again", name, reread)
		}
	}
	if _, err := f.make(t.Context(), key(t, "too large"), ann, "things.create", "in",
		func(context.Context, store.Tx) (answer, error) { return large, nil }); err == nil || platform.KindOf(err) != platform.KindInternal {
		t.Errorf("an answer that Do cannot keep: %v", err)
	}
}
