package user

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// The throttle bounds guessing at an account and never keeps its owner out: what
// one network spends, another has still. The documentation of the package tells
// the reasons and the figures.
//
//   - A known device has tries of its own: freeTries, then one per delay, which
//     doubles up to maxDelay; failureWindow after the first failure the count
//     starts anew.
//   - A stranger's network has freeTries at an account in strangerWindow, then
//     one per delay, which doubles up to maxStrangerDelay.
//   - Beside that, the n-th tries of all strangers at an account compete with
//     each other and with no others: see draw.
//   - A stranger's network fails freeSpray times over all accounts in
//     failureWindow, and then one try passes per delay.
//   - Where callers are not known, all tries at an account count together as a
//     known device's do.
const (
	freeTries        = 5
	freeSpray        = 50
	maxDelay         = 30 * time.Second
	failureWindow    = 15 * time.Minute
	maxStrangerDelay = 15 * time.Minute
	strangerWindow   = day
	// firstTries is how many strangers' networks make their first try at an
	// account in strangerWindow for sure; for each further try it is half of
	// that of the one before.
	firstTries = 2000
	// drawEvery is how often a network that lost a draw draws again.
	drawEvery = time.Minute
)

// throttle counts tries before they are made, so that parallel ones count.
type throttle struct {
	cache store.Cache
	// pick returns a number from 0 up to and without n that nobody can foresee.
	pick func(n int64) int64
}

func newThrottle(cache store.Cache) throttle { return throttle{cache: cache, pick: rand.Int64N} }

// try is who wants to try a password.
type try struct {
	email  string
	client string // "" is not known
	known  bool   // the device is one of the account's
}

// counter is one count of failures: free ones, then one per delay.
type counter struct {
	key     string
	free    int64
	longest time.Duration
	window  time.Duration
	// shared is of more accounts than the one that is tried.
	shared bool
}

func (c counter) slot() string { return c.key + ":slot" }

// attempt is a try that was let through, or the part of one that was counted.
type attempt struct {
	throttle throttle
	counted  []counter
	slots    []string // that this attempt has taken
	drawn    string   // the count of a draw, "" where there was none
}

// begin counts a try and refuses it with KindLimited when it comes too soon;
// then it has counted nothing. The caller ends the attempt with succeeded or,
// where the password was not looked at, with undo.
func (t throttle) begin(ctx context.Context, who try) (*attempt, error) {
	a := &attempt{throttle: t}
	account := "user.login:" + digest(who.email)
	counters := []counter{{key: account, free: freeTries, longest: maxDelay, window: failureWindow}}
	stranger := who.client != "" && !who.known
	switch {
	case who.known:
		counters[0].key += ":" + digest(network(who.client))
	case stranger:
		counters = []counter{
			{key: account + ":from:" + digest(site(who.client)), free: freeTries, longest: maxStrangerDelay, window: strangerWindow},
			{key: "user.login.client:" + digest(network(who.client)), free: freeSpray, longest: maxDelay, window: failureWindow, shared: true},
		}
	}
	for i, c := range counters {
		n, wait, err := a.take(ctx, c)
		if err == nil && wait == 0 && stranger && i == 0 {
			wait, err = a.draw(ctx, account, c, n)
		}
		if err != nil || wait > 0 {
			a.undo(ctx)
			if err == nil {
				err = errTooManyLogins(wait)
			}
			return nil, err
		}
	}
	return a, nil
}

func errTooManyLogins(wait time.Duration) error {
	return &platform.Error{
		Kind: platform.KindLimited, Code: "too_many_logins",
		Message: "too many failed logins; wait and try again", RetryAfter: wait,
	}
}

// take counts a try and returns which it is, and how long to wait where it may
// not be made. A slot that was lost is not counted: only tries that were made
// let the delay grow.
func (a *attempt) take(ctx context.Context, c counter) (n int64, wait time.Duration, err error) {
	cache := a.throttle.cache
	if n, _, err = cache.Increment(ctx, platform.NoTenant, c.key, 1, c.window); err != nil {
		return 0, 0, err
	}
	a.counted = append(a.counted, c)
	delay := time.Duration(0)
	if n > c.free {
		delay = delayAfter(n-c.free, c.longest)
	}
	if delay == 0 {
		return n, 0, nil
	}
	free, err := cache.SetIfAbsent(ctx, platform.NoTenant, c.slot(), []byte{1}, delay)
	if err != nil {
		return 0, 0, err
	}
	if !free {
		return n, delay, nil
	}
	a.slots = append(a.slots, c.slot())
	return n, 0, nil
}

// draw lets the n-th try of a stranger's network at an account through, or says
// how long to wait for the next draw.
//
// The first tries of all networks compete with each other, the second with the
// second, and so on. Of those of one kind the first budget pass, and the i-th
// after them with the probability budget/i. So nobody can take all of them:
// whenever the owner comes, the chance is budget/i at least, whoever was there
// before and however fast they are. And of any number m no more than some
// budget × (1 + ln(m/budget)) pass. Networks that have failed before are of
// another kind than one that comes for the first time.
func (a *attempt) draw(ctx context.Context, account string, c counter, n int64) (wait time.Duration, err error) {
	cache := a.throttle.cache
	if a.slots == nil { // or the slot is this attempt's
		_, lost, err := cache.Get(ctx, platform.NoTenant, c.slot())
		if err != nil {
			return 0, err
		}
		if lost {
			return drawEvery, nil
		}
	}
	key := account + ":try:" + strconv.FormatInt(n, 10)
	i, _, err := cache.Increment(ctx, platform.NoTenant, key, 1, strangerWindow)
	if err != nil {
		return 0, err
	}
	if budget := budgetOf(n); i > budget && a.throttle.pick(i) >= budget {
		// It stays counted as a draw, and its network keeps the slot until the
		// next one.
		a.slots = nil
		return drawEvery, cache.Set(ctx, platform.NoTenant, c.slot(), []byte{1}, drawEvery)
	}
	a.drawn = key
	return 0, nil
}

// budgetOf is how many networks make their n-th try for sure.
func budgetOf(n int64) int64 { return max(int64(firstTries)>>min(n-1, 62), 1) }

// succeeded gives back what the try took, and forgets the failures of its
// network at the account. Those of a network over all accounts stay but for
// this one, or an attacker would clear them with an account of their own.
func (a *attempt) succeeded(ctx context.Context) error {
	var forget []string
	for _, c := range a.counted {
		if !c.shared {
			forget = append(forget, c.key, c.slot())
		} else if err := a.uncount(ctx, c.key, c.window); err != nil {
			return err
		}
	}
	if a.drawn != "" {
		if err := a.uncount(ctx, a.drawn, strangerWindow); err != nil {
			return err
		}
	}
	return a.throttle.cache.Delete(ctx, platform.NoTenant, forget...)
}

// undo gives back all that was counted for a try that was not made. It is best
// effort: a count that stays makes somebody wait.
func (a *attempt) undo(ctx context.Context) {
	ctx = context.WithoutCancel(ctx)
	for _, c := range a.counted {
		_ = a.uncount(ctx, c.key, c.window)
	}
	if a.drawn != "" {
		_ = a.uncount(ctx, a.drawn, strangerWindow)
	}
	if a.slots != nil {
		_ = a.throttle.cache.Delete(ctx, platform.NoTenant, a.slots...)
	}
}

func (a *attempt) uncount(ctx context.Context, key string, window time.Duration) error {
	_, _, err := a.throttle.cache.Increment(ctx, platform.NoTenant, key, -1, window)
	return err
}

func delayAfter(n int64, longest time.Duration) time.Duration {
	d := time.Second
	for range n - 1 {
		if d *= 2; d >= longest {
			return longest
		}
	}
	return d
}

// digest keeps addresses out of a cache that others may read.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}
