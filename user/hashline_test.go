package user_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/user"
)

// However many strangers guess at once, a known device has its turn.
func TestKnownDevicesHaveALineOfTheirOwn(t *testing.T) {
	b := open(t, func(c *user.Config) { c.PasswordConcurrency, c.PasswordQueue = 1, 4 })
	b.signUp(t, "ann@example.com")
	home := from(t.Context(), "192.0.2.1")
	_, err := b.LogIn(home, annRight)
	noError(t, err)
	release, err := b.HoldHasher(t.Context())
	noError(t, err)
	done := make(chan error)
	for i := range 4 {
		go func() {
			_, err := b.LogIn(from(t.Context(), fmt.Sprint("198.51.100.", i)), user.LogIn{Email: fmt.Sprint(i, "@example.com"), Password: "x"})
			done <- err
		}()
	}
	b.AwaitQueue(4)
	_, err = b.LogIn(from(t.Context(), "198.51.100.9"), annRight)
	want(t, err, platform.KindUnavailable, "busy")
	owner := make(chan error)
	go func() {
		_, err := b.LogIn(home, annRight)
		owner <- err
	}()
	b.AwaitQueue(5)
	release()
	noError(t, <-owner)
	for range 4 {
		want(t, <-done, platform.KindUnauthenticated, "")
	}
}

// The lines take turns, and one who has left keeps nobody waiting.
func TestHashLines(t *testing.T) {
	testdb.SQLiteOnly(t)
	l := user.NewHashLines(1, 3)
	noError(t, l.Acquire(t.Context(), ""))
	order := make(chan string, 10)
	wait := func(ctx context.Context, name, account string, waiting int) {
		go func() {
			if err := l.Acquire(ctx, account); err != nil {
				name += " left"
			}
			order <- name
		}()
		l.Await(waiting)
	}
	left, leave := context.WithCancel(t.Context())
	wait(t.Context(), "s1", "", 1)
	wait(left, "s2", "", 2)
	wait(t.Context(), "s3", "", 3)
	wait(t.Context(), "u1", "ann", 4)
	wait(t.Context(), "u2", "ann", 5)
	want(t, l.Acquire(t.Context(), ""), platform.KindUnavailable, "busy")
	wait(t.Context(), "u3", "ben", 6)
	leave()
	if got := <-order; got != "s2 left" {
		t.Errorf("got %s", got)
	}
	for _, next := range []string{"s1", "u1", "s3", "u2", "u3"} {
		l.Release()
		if got := <-order; got != next {
			t.Errorf("got %s, want %s", got, next)
		}
	}
	l.Release()
	noError(t, l.Acquire(t.Context(), "ann"))
}

// One account does not fill the line of users.
func TestOneAccountDoesNotFillTheLine(t *testing.T) {
	testdb.SQLiteOnly(t)
	l := user.NewHashLines(1, 2*user.WaitingByAccount)
	noError(t, l.Acquire(t.Context(), ""))
	done := make(chan error)
	for range user.WaitingByAccount {
		go func() { done <- l.Acquire(t.Context(), "ann") }()
	}
	l.Await(user.WaitingByAccount)
	want(t, l.Acquire(t.Context(), "ann"), platform.KindUnavailable, "busy")
	go func() { done <- l.Acquire(t.Context(), "ben") }()
	l.Await(user.WaitingByAccount + 1)
	for range user.WaitingByAccount + 1 {
		l.Release()
		noError(t, <-done)
	}
}
