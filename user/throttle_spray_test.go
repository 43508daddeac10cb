package user_test

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

// One password at 1,000 accounts, each from a network of its own, is guessed at some
// 100 of them, and told of once. The owner whose password it is comes in from a
// known device, and in time from elsewhere.
func TestSprayingIsCaught(t *testing.T) {
	b := open(t)
	home := from(t.Context(), "192.0.2.1")
	const sprayed = "Summer-of-2026!"
	_, err := b.SignUp(home, user.SignUp{Email: "ann@example.com", Password: sprayed, Name: "Ann", Organization: "Acme"})
	noError(t, err)
	accounts := 1000
	if testdb.OnPostgres() {
		accounts = 200 // the store has nothing to do with their number
	}
	made := 0
	for i := range accounts {
		_, err := b.LogIn(from(t.Context(), address(i)), user.LogIn{Email: fmt.Sprintf("p%d@host%d.example", i, i), Password: sprayed})
		if isKind(err, platform.KindUnauthenticated) {
			made++
		} else {
			want(t, err, platform.KindLimited, "too_many_logins")
		}
	}
	if made <= user.SprayAccounts || made > 200 { // 98 is expected of 1,000
		t.Errorf("%d of %d tries were made", made, accounts)
	}
	told, _, err := b.OperatorAudit(t.Context(), platform.System(platform.NoTenant, "test"), user.AuditFilter{Action: "login.sprayed"}, 0, "")
	noError(t, err)
	if len(told) != 1 || told[0].Detail["accounts"] != fmt.Sprint(user.SprayAccounts+1) {
		t.Errorf("told of %+v", told)
	}
	ann := user.LogIn{Email: "ann@example.com", Password: sprayed}
	_, err = b.LogIn(home, ann)
	noError(t, err)
	minutes := 0
	for ; ; minutes++ {
		if _, err = b.LogIn(from(t.Context(), "203.0.113.9"), ann); err == nil {
			break
		}
		want(t, err, platform.KindLimited, "too_many_logins")
		if minutes > int(user.SprayWindow/user.DrawEvery) {
			t.Fatal("the owner is kept out for good")
		}
		b.clock.Advance(user.DrawEvery)
	}
	// Another password is not delayed.
	_, err = b.LogIn(from(t.Context(), "203.0.113.10"), user.LogIn{Email: "ben@example.com", Password: "wrong password"})
	want(t, err, platform.KindUnauthenticated, "")
}

// Right passwords are no spraying, however many have the same; nor are many tries at
// one account.
func TestWhatIsNoSpraying(t *testing.T) {
	b := open(t)
	for i := range 2 * user.SprayAccounts {
		b.signUp(t, fmt.Sprintf("p%d@example.com", i))
	}
	for i := range 2 * user.SprayAccounts {
		_, err := b.LogIn(from(t.Context(), address(i)), user.LogIn{Email: fmt.Sprintf("p%d@example.com", i), Password: goodPassword})
		noError(t, err)
	}
	for i := range 2 * user.SprayAccounts {
		_, err := b.LogIn(from(t.Context(), address(100+i)), user.LogIn{Email: "p0@example.com", Password: "wrong password"})
		want(t, err, platform.KindUnauthenticated, "")
	}
	if n := b.count(t, "user_audit WHERE action = 'login.sprayed'"); n != 0 {
		t.Errorf("told %d times", n)
	}
}

// keysOf is a cache that notes its keys.
type keysOf struct {
	store.Cache
	mu   sync.Mutex
	keys map[string]bool
}

func (c *keysOf) note(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil {
		c.keys = make(map[string]bool)
	}
	c.keys[key] = true
}

func (c *keysOf) SetIfAbsent(ctx context.Context, tenant platform.TenantID, key string, value []byte, ttl time.Duration) (bool, error) {
	c.note(key)
	return c.Cache.SetIfAbsent(ctx, tenant, key, value, ttl)
}

func (c *keysOf) Increment(ctx context.Context, tenant platform.TenantID, key string, delta int64, ttl time.Duration) (int64, time.Duration, error) {
	c.note(key)
	return c.Cache.Increment(ctx, tenant, key, delta, ttl)
}

// The cache holds nothing that a guess at a password can be compared with: no fast
// hash of it, and other keys in another process.
func TestTheCacheHoldsNoHashOfPasswords(t *testing.T) {
	testdb.SQLiteOnly(t)
	const password = "a wrong one of Ann's"
	sprayKeys := func() (keys []string) {
		cache := &keysOf{}
		b := open(t, func(c *user.Config) { cache.Cache, c.Cache = c.Cache, cache })
		_, _ = b.LogIn(from(t.Context(), "192.0.2.1"), user.LogIn{Email: "ann@example.com", Password: password})
		for key := range cache.keys {
			for _, sum := range []string{
				fmt.Sprintf("%x", md5.Sum([]byte(password))), fmt.Sprintf("%x", sha1.Sum([]byte(password))), fmt.Sprintf("%x", sha256.Sum256([]byte(password))),
			} {
				if strings.Contains(key, sum[:16]) || strings.Contains(key, password) {
					t.Errorf("the cache has the key %s", key)
				}
			}
			if strings.Contains(key, "spray") {
				keys = append(keys, key)
			}
		}
		return keys
	}
	first, second := sprayKeys(), sprayKeys()
	if len(first) != 2 || len(second) != 2 {
		t.Fatalf("%v and %v", first, second)
	}
	for _, key := range first {
		if key == second[0] || key == second[1] {
			t.Errorf("two processes have the key %s", key)
		}
	}
}

// What strangers guess at one organization is bounded, be it named or that of the
// addresses; others are not delayed by it, and its people draw.
func TestOrganizationsAreThrottled(t *testing.T) {
	testdb.SQLiteOnly(t)
	for name, in := range map[string]func(i int) (email, organization string){
		"domain": func(i int) (string, string) { return fmt.Sprintf("p%d@acme.example", i), "" },
		"named":  func(i int) (string, string) { return fmt.Sprintf("p@host%d.example", i), "org_1" },
	} {
		th, clock := user.NewThrottle(rand.New(rand.NewPCG(1, 2)).Int64N)
		const networks = 10_000
		made := 0
		for i := range networks {
			email, organization := in(i)
			if th.BeginAt(t.Context(), email, fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), organization) == nil {
				made++
			}
		}
		// 2,000 × (1 + ln 5) = 5,219 are expected.
		if made < user.FirstTries || made > 5_600 {
			t.Errorf("%s: %d tries of %d networks", name, made, networks)
		}
		if err := th.BeginAt(t.Context(), "cem@other.example", "203.0.113.8", "org_2"); err != nil {
			t.Errorf("%s: at another organization: %v", name, err)
		}
		email, organization := in(networks)
		for minutes := 0; th.BeginAt(t.Context(), email, "203.0.113.9", organization) != nil; minutes++ {
			if minutes > 60 { // each with the probability 1/5
				t.Fatalf("%s: the owner is kept out", name)
			}
			clock.Advance(user.DrawEvery)
		}
		// The delay of one network grows.
		made = 0
		for i := range 2 * user.FreeOrganization {
			email, organization := in(20_000 + i)
			if i%10 == 0 {
				clock.Advance(15 * time.Minute) // the count over all accounts is another one
			}
			if th.BeginAt(t.Context(), email, "198.51.100.7", organization) == nil {
				made++
			}
		}
		if made > user.FreeOrganization+6 {
			t.Errorf("%s: one network makes %d tries", name, made)
		}
	}
}

// 200 people sign in from one address that nobody knows, and a fifth of them mistypes
// the password first: nobody is refused.
func TestAnOfficeBehindOneAddress(t *testing.T) {
	b := open(t)
	people := 200
	if testdb.OnPostgres() {
		people = 60
	}
	for i := range people {
		b.signUp(t, fmt.Sprintf("p%d@example.com", i))
	}
	office := from(t.Context(), "192.0.2.1")
	for i := range people {
		in := user.LogIn{Email: fmt.Sprintf("p%d@example.com", i), Password: goodPassword}
		if i%5 == 0 {
			mistyped := in
			mistyped.Password = user.Secret(fmt.Sprint("violet tracter ", i))
			_, err := b.LogIn(office, mistyped)
			want(t, err, platform.KindUnauthenticated, "")
		}
		_, err := b.LogIn(office, in)
		noError(t, err)
	}
	// Beyond the free tries of the address a right password waits for a second at
	// most, and those that are known there for nothing.
	for i := range 2 * user.FreeSpray {
		_, _ = b.LogIn(office, user.LogIn{Email: fmt.Sprintf("q%d@example.com", i), Password: user.Secret(fmt.Sprint("guess ", i))})
	}
	b.signUp(t, "new@example.com")
	waited := 0
	for ; waited < 40; waited++ {
		_, err := b.LogIn(office, user.LogIn{Email: "new@example.com", Password: goodPassword})
		if err == nil {
			break
		}
		want(t, err, platform.KindLimited, "too_many_logins")
		b.clock.Advance(time.Second)
	}
	if waited > 30 { // as often as MaxDelay has seconds
		t.Errorf("a right password waited %d s", waited)
	}
	_, err := b.LogIn(office, user.LogIn{Email: "p1@example.com", Password: goodPassword})
	noError(t, err)
}

// Accounts of one's own clear nothing of what was guessed at others from there, each
// used for the first time.
func TestOwnAccountsClearNothing(t *testing.T) {
	b := open(t)
	for i := range 10 {
		b.signUp(t, fmt.Sprintf("own%d@example.com", i))
	}
	there, made := from(t.Context(), "192.0.2.1"), 0
	for i := range 100 {
		_, err := b.LogIn(there, user.LogIn{Email: fmt.Sprintf("q%d@example.com", i), Password: user.Secret(fmt.Sprint("guess ", i))})
		if isKind(err, platform.KindUnauthenticated) {
			made++
		}
		if i%10 == 5 && i < 50 {
			_, err := b.LogIn(there, user.LogIn{Email: fmt.Sprintf("own%d@example.com", i/10), Password: goodPassword})
			noError(t, err)
		}
	}
	if made > user.FreeSpray+2 {
		t.Errorf("%d guesses were made", made)
	}
}

// Of 50 guesses at the same moment no more are made than one after the other: from
// a stranger's network, and from a known device.
func TestParallelGuessesCount(t *testing.T) {
	b := open(t)
	home := from(t.Context(), "192.0.2.1")
	b.signUp(t, "ann@example.com")
	_, err := b.LogIn(home, annRight)
	noError(t, err)
	for name, ctx := range map[string]context.Context{"a stranger": from(t.Context(), "203.0.113.9"), "a known device": home} {
		var (
			wg   sync.WaitGroup
			mu   sync.Mutex
			made int
		)
		for range 50 {
			wg.Go(func() {
				_, err := b.LogIn(ctx, annWrong)
				if !isKind(err, platform.KindLimited) {
					want(t, err, platform.KindUnauthenticated, "")
					mu.Lock()
					made++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if made != user.FreeTries+1 { // one more takes the first turn
			t.Errorf("%s makes %d guesses", name, made)
		}
	}
}
