package user_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/user"
)

var (
	annWrong = user.LogIn{Email: "ann@example.com", Password: "wrong password"}
	annRight = user.LogIn{Email: "ann@example.com", Password: goodPassword}
)

func address(i int) string { return fmt.Sprintf("198.51.%d.%d", i/250, 1+i%250) }

// guess has so many addresses guess until each is refused.
func (b *bundle) guess(t *testing.T, addresses int) (made int) {
	t.Helper()
	for i := range addresses {
		for {
			_, err := b.LogIn(from(t.Context(), address(i)), annWrong)
			if err == nil || !isKind(err, platform.KindUnauthenticated) {
				want(t, err, platform.KindLimited, "too_many_logins")
				break
			}
			made++
		}
	}
	return made
}

func isKind(err error, kind platform.Kind) bool {
	var e *platform.Error
	return errors.As(err, &e) && e.Kind == kind
}

// The right password from a device that nobody knows works at once, while
// guesses come from a thousand addresses without a pause.
func TestStrangersDoNotKeepTheOwnerOut(t *testing.T) {
	b := open(t)
	b.signUp(t, "ann@example.com")
	addresses := 1000
	if testdb.OnPostgres() {
		addresses = 100 // the store has nothing to do with their number
	}
	made := b.guess(t, addresses)
	for i := range 25 {
		_, err := b.LogIn(from(t.Context(), fmt.Sprint("203.0.113.", 1+i)), annRight)
		noError(t, err)
	}
	// One who mistypes the password once gets in as well.
	ctx := from(t.Context(), "203.0.113.99")
	_, err := b.LogIn(ctx, annWrong)
	want(t, err, platform.KindUnauthenticated, "")
	_, err = b.LogIn(ctx, annRight)
	noError(t, err)
	t.Logf("%d guesses were made from %d addresses", made, addresses)
	// 1,000 of the first kind and of the second, of the third 500 × (1 + ln 2), …
	if most := 4500; made > most {
		t.Errorf("%d guesses, want at most %d", made, most)
	}
}

// The guesses that strangers make at one account in a day are bounded whatever
// they do: firstTries and half as many again of each further kind, and with the
// number of those who draw they grow as its logarithm.
func TestGuessesInADayAreBounded(t *testing.T) {
	testdb.SQLiteOnly(t)
	th, clock := user.NewThrottle(rand.New(rand.NewPCG(1, 2)).Int64N)
	const networks = 20_000
	made := 0
	for range 3 { // each a minute after the other
		for i := range networks {
			if th.Begin(t.Context(), "ann@example.com", fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)) == nil {
				made++
			}
		}
		clock.Advance(user.DrawEvery)
	}
	most := 2 * user.FirstTries * (1 + math.Log(3*float64(networks)/user.FirstTries))
	t.Logf("%d tries of %d asked, bound %.0f", made, 3*networks, most)
	if float64(made) > most || made < user.FirstTries {
		t.Errorf("%d tries, want %d to %.0f", made, user.FirstTries, most)
	}
}

// Beyond the first tries that pass for sure the chance of the one who comes
// last is as good as that of anybody before, and not none.
func TestTheLastOneDraws(t *testing.T) {
	testdb.SQLiteOnly(t)
	won, rounds := 0, 200
	for round := range rounds {
		th, _ := user.NewThrottle(rand.New(rand.NewPCG(uint64(round), 7)).Int64N)
		for range 2*user.FirstTries - 1 {
			th.Drawn(t.Context(), "ann@example.com", 1)
		}
		if th.Begin(t.Context(), "ann@example.com", "203.0.113.9") == nil {
			won++
		}
	}
	if won < rounds/3 || won > rounds*2/3 { // each with probability 1/2
		t.Errorf("the last one won %d of %d", won, rounds)
	}
}

// Who has lost a draw waits for the next, and has lost none of their tries.
func TestLostDrawsCostNoTries(t *testing.T) {
	testdb.SQLiteOnly(t)
	lose := true
	th, clock := user.NewThrottle(func(n int64) int64 {
		if lose {
			return n - 1
		}
		return 0
	})
	for range user.FirstTries {
		th.Drawn(t.Context(), "ann@example.com", 1)
	}
	for range 3 * user.FreeTries {
		want(t, th.Begin(t.Context(), "ann@example.com", "203.0.113.9"), platform.KindLimited, "")
		lose = false
		want(t, th.Begin(t.Context(), "ann@example.com", "203.0.113.9"), platform.KindLimited, "") // it is no new draw
		lose = true
		clock.Advance(user.DrawEvery)
	}
	lose = false
	for range user.FreeTries {
		noError(t, th.Begin(t.Context(), "ann@example.com", "203.0.113.9"))
	}
}

// A whole /48 of IPv6 is one stranger.
func TestOneSiteIsOneStranger(t *testing.T) {
	testdb.SQLiteOnly(t)
	th, _ := user.NewThrottle(rand.Int64N)
	made := 0
	for i := range 100 {
		if th.Begin(t.Context(), "ann@example.com", fmt.Sprintf("2001:db8:7:%x::1", i)) == nil {
			made++
		}
	}
	if made != user.FreeTries+1 {
		t.Errorf("%d tries", made)
	}
}

// Everybody in one office signs in once and rightly, from one address: nobody is
// refused, and what somebody mistypes is all that counts.
func TestRightPasswordsGiveBackTheirTries(t *testing.T) {
	b := open(t)
	office := from(t.Context(), "192.0.2.1")
	for i := range 66 {
		b.signUp(t, fmt.Sprintf("p%d@example.com", i))
	}
	for i := range 66 {
		_, err := b.LogIn(office, user.LogIn{Email: fmt.Sprintf("p%d@example.com", i), Password: goodPassword})
		noError(t, err)
	}
	// A password of one's own does not clear what was guessed at others.
	limited := 0
	for i := range 80 {
		_, err := b.LogIn(office, user.LogIn{Email: fmt.Sprintf("q%d@example.com", i), Password: "Summer2026!"})
		if isKind(err, platform.KindLimited) {
			limited++
		}
		_, err = b.LogIn(office, user.LogIn{Email: "p0@example.com", Password: goodPassword})
		noError(t, err)
	}
	if limited < 20 {
		t.Errorf("%d of 80 refused", limited)
	}
}

// A try that was refused for want of room was no try.
func TestBusyGivesBackTheTry(t *testing.T) {
	b := open(t, func(c *user.Config) { c.PasswordConcurrency, c.PasswordQueue = 1, 1 })
	b.signUp(t, "ann@example.com")
	release, err := b.HoldHasher(t.Context())
	noError(t, err)
	ctx, cancel := context.WithCancel(from(t.Context(), "192.0.2.7"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = b.LogIn(ctx, annRight)
	}()
	b.AwaitQueue(1)
	home := from(t.Context(), "192.0.2.1")
	for range 3 * user.FreeTries {
		_, err := b.LogIn(home, annRight)
		want(t, err, platform.KindUnavailable, "busy")
	}
	cancel()
	<-done
	release()
	_, err = b.LogIn(home, annRight)
	noError(t, err)
}

// Known devices are in the store: a restart, and a cache that has lost all,
// change nothing.
func TestDevicesSurviveARestart(t *testing.T) {
	b := open(t)
	b.signUp(t, "ann@example.com")
	home := from(t.Context(), "192.0.2.1")
	_, err := b.LogIn(home, annRight)
	noError(t, err)
	again := b.replica(t) // its cache is empty
	again.guess(t, 50)
	for range 3 {
		_, err = again.LogIn(home, annRight)
		noError(t, err)
	}
	if n := b.count(t, "user_devices"); n != 1 {
		t.Errorf("%d devices", n)
	}
	// Guesses from a known device count there, and are slowed down.
	for range user.FreeTries + 1 {
		_, err = again.LogIn(home, annWrong)
		want(t, err, platform.KindUnauthenticated, "")
	}
	_, err = again.LogIn(home, annRight)
	want(t, err, platform.KindLimited, "")
	again.clock.Advance(user.MaxDelay)
	_, err = again.LogIn(home, annRight)
	noError(t, err)
}

// The devices of an account are bounded, end, are forgotten with the password,
// and are of nobody else.
func TestDevicesAreBounded(t *testing.T) {
	b := open(t)
	b.signUp(t, "ann@example.com")
	b.signUp(t, "ben@example.com")
	visit := func(client, email string) {
		t.Helper()
		b.clock.Advance(time.Minute)
		_, err := b.LogIn(from(t.Context(), client), user.LogIn{Email: email, Password: goodPassword})
		noError(t, err)
	}
	visit("192.0.2.200", "ben@example.com")
	for i := range user.MaxDevices + 5 {
		visit(fmt.Sprint("192.0.2.", i), "ann@example.com")
	}
	if n := b.count(t, "user_devices"); n != user.MaxDevices+1 {
		t.Errorf("%d devices of two accounts", n)
	}
	if n := b.count(t, "user_devices WHERE network = '192.0.2.0'"); n != 0 {
		t.Error("the oldest is still there")
	}
	password := user.Secret("another good one 77")
	here := fmt.Sprint("192.0.2.", user.MaxDevices)
	in, err := b.LogIn(from(t.Context(), here), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	_, err = b.UpdateMe(from(t.Context(), here), b.verify(t, in.Access), user.MeChange{Password: &password, CurrentPassword: goodPassword})
	noError(t, err)
	if n := b.count(t, "user_devices WHERE network = '"+here+"'"); n != 1 {
		t.Error("the device of the change is forgotten")
	}
	if n := b.count(t, "user_devices"); n != 2 {
		t.Errorf("%d devices after the change of the password", n)
	}
	b.clock.Advance(user.KnownFor + time.Second)
	noError(t, b.PurgeDevices(t.Context()))
	if n := b.count(t, "user_devices"); n != 0 {
		t.Errorf("%d devices after %v", n, user.KnownFor)
	}
}
