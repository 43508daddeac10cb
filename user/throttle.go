package user

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"slices"
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
//     starts again.
//   - A stranger's network has freeTries at an account in strangerWindow, then
//     one per delay, which doubles up to maxStrangerDelay.
//   - Beside that, the n-th tries of all strangers at an account compete with
//     each other and with no others: see draw.
//   - The same holds at an organization, with freeOrganization tries and larger
//     budgets: see organizationsOf.
//   - A stranger's network fails freeSpray times over all accounts in
//     failureWindow, and then one try passes per delay.
//   - A password that strangers try at many accounts is drawn for: see spray.
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
	// key keeps what passwords were tried out of a cache that others may read. It
	// is this process's own and stands nowhere.
	key []byte
	// sprayed is told once of each password that is tried at many accounts; nil
	// tells nobody.
	sprayed func(ctx context.Context, accounts int64)
	// pick returns a number from 0 up to and without n that nobody can foresee.
	pick func(n int64) int64
}

func newThrottle(cache store.Cache) throttle {
	return throttle{cache: cache, key: randomBytes(), pick: rand.Int64N}
}

// try is who wants to try a password.
type try struct {
	email        string
	organization string // that is asked for; "" is none
	password     string // "" is none that could be sprayed
	client       string // "" is not known
	known        bool   // the device is one of the account's
}

// counter is one count of failures: free ones, then one per delay.
type counter struct {
	key     string
	free    int64
	longest time.Duration
	window  time.Duration
	// shared is of more accounts than the one that is tried.
	shared bool
	// drawn is the key of the pools that the n-th tries of all networks at the
	// same thing compete in, "" where they do not; budget is how many of them pass
	// for sure.
	drawn  string
	budget func(n int64) int64
}

func (c counter) slot() string { return c.key + ":slot" }

// attempt is a try that was let through, or the part of one that was counted.
type attempt struct {
	throttle throttle
	counted  []counter
	slots    []string // that this attempt has taken
	drawn    []drawing
}

// drawing is a count of a draw that this attempt has won.
type drawing struct {
	key    string
	window time.Duration
	mark   string // that goes with it, "" where there is none
}

// begin counts a try and refuses it with KindLimited when it comes too soon;
// then it has counted nothing. The caller ends the attempt with succeeded or,
// where the password was not looked at, with undo.
func (t throttle) begin(ctx context.Context, who try) (*attempt, error) {
	a := &attempt{throttle: t}
	for _, c := range who.counters() {
		wait, err := a.take(ctx, c)
		if err != nil || wait > 0 {
			return nil, a.refuse(ctx, wait, err)
		}
	}
	if who.stranger() && who.password != "" {
		wait, err := a.spray(ctx, who)
		if err != nil || wait > 0 {
			return nil, a.refuse(ctx, wait, err)
		}
	}
	return a, nil
}

// refuse gives back what was counted and returns why.
func (a *attempt) refuse(ctx context.Context, wait time.Duration, err error) error {
	a.undo(ctx)
	if err == nil {
		err = errTooManyLogins(wait)
	}
	return err
}

func (w try) stranger() bool { return w.client != "" && !w.known }

// counters are the counts of a try, the one of the account first.
func (w try) counters() []counter {
	account := "user.login:" + digest(w.email)
	own := counter{key: account, free: freeTries, longest: maxDelay, window: failureWindow}
	if !w.stranger() {
		if w.known {
			own.key += ":" + digest(network(w.client))
		}
		return []counter{own}
	}
	from := ":from:" + digest(site(w.client))
	counters := []counter{
		{
			key: account + from, free: freeTries, longest: maxStrangerDelay, window: strangerWindow,
			drawn: account + ":try:", budget: budgetOf,
		},
		{key: "user.login.client:" + digest(network(w.client)), free: freeSpray, longest: maxDelay, window: failureWindow, shared: true},
	}
	for _, organization := range organizationsOf(w) {
		counters = append(counters, counter{
			key: organization + from, free: freeOrganization, longest: maxStrangerDelay, window: strangerWindow, shared: true,
			drawn: organization + ":try:", budget: organizationBudget,
		})
	}
	return counters
}

func errTooManyLogins(wait time.Duration) error {
	return &platform.Error{
		Kind: platform.KindLimited, Code: "too_many_logins",
		Message: "too many failed logins; wait and try again", RetryAfter: wait,
	}
}

// take counts a try and returns how long to wait where it may not be made. A slot
// that was lost is not counted: only tries that were made let the delay grow.
func (a *attempt) take(ctx context.Context, c counter) (wait time.Duration, err error) {
	cache := a.throttle.cache
	n, _, err := cache.Increment(ctx, platform.NoTenant, c.key, 1, c.window)
	if err != nil {
		return 0, err
	}
	a.counted = append(a.counted, c)
	if n > c.free {
		delay := delayAfter(n-c.free, c.longest)
		free, err := cache.SetIfAbsent(ctx, platform.NoTenant, c.slot(), []byte{1}, delay)
		if err != nil {
			return 0, err
		}
		if !free {
			return delay, nil
		}
		a.slots = append(a.slots, c.slot())
	}
	if c.drawn == "" {
		return 0, nil
	}
	return a.draw(ctx, c, n)
}

// draw lets the n-th try of a stranger's network at an account or an organization
// through, or says how long to wait for the next draw.
//
// The first tries of all networks compete with each other, the second with the
// second, and so on. Of those of one kind the first budget pass, and the i-th
// after them with the probability budget/i. So nobody can take all of them:
// whenever the owner comes, the chance is budget/i at least, whoever was there
// before and however fast they are. And of any number m no more than some
// budget × (1 + ln(m/budget)) pass. Networks that have failed before are of
// another kind than one that comes for the first time.
func (a *attempt) draw(ctx context.Context, c counter, n int64) (wait time.Duration, err error) {
	cache, lost := a.throttle.cache, a.counted[0].slot()
	if !slices.Contains(a.slots, lost) { // or the slot is this attempt's
		_, waits, err := cache.Get(ctx, platform.NoTenant, lost)
		if err != nil {
			return 0, err
		}
		if waits {
			return drawEvery, nil
		}
	}
	key := c.drawn + strconv.FormatInt(n, 10)
	i, _, err := cache.Increment(ctx, platform.NoTenant, key, 1, strangerWindow)
	if err != nil {
		return 0, err
	}
	if a.throttle.loses(i, c.budget(n)) {
		return a.lose(ctx)
	}
	a.drawn = append(a.drawn, drawing{key: key, window: strangerWindow})
	return 0, nil
}

// loses reports whether the i-th to draw loses where budget pass for sure.
func (t throttle) loses(i, budget int64) bool { return i > budget && t.pick(i) >= budget }

// lose has the network wait for its next draw at the account. The draw stays
// counted, and the network keeps the slot of the account until then.
func (a *attempt) lose(ctx context.Context) (wait time.Duration, err error) {
	lost := a.counted[0].slot()
	a.slots = slices.DeleteFunc(a.slots, func(slot string) bool { return slot == lost })
	return drawEvery, a.throttle.cache.Set(ctx, platform.NoTenant, lost, []byte{1}, drawEvery)
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
	for _, d := range a.drawn {
		if err := a.uncount(ctx, d.key, d.window); err != nil {
			return err
		}
		if d.mark != "" {
			forget = append(forget, d.mark)
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
	forget := a.slots
	for _, d := range a.drawn {
		_ = a.uncount(ctx, d.key, d.window)
		if d.mark != "" {
			forget = append(forget, d.mark)
		}
	}
	if len(forget) > 0 {
		_ = a.throttle.cache.Delete(ctx, platform.NoTenant, forget...)
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
