package user

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// The throttle of failed logins. After freeTries wrong passwords one try is let
// through per delay, which doubles from one second to maxDelay; a quarter of
// an hour after the first failure the count starts anew. The delay is bounded
// on purpose: whoever guesses at an account must not lock its owner out.
const (
	freeTries     = 5
	freeSpray     = 50 // by one client over all accounts
	maxDelay      = 30 * time.Second
	failureWindow = 15 * time.Minute
	// knownFor is how long a client from which a login succeeded has a count
	// of its own, which others cannot use up.
	knownFor = 30 * day
)

// throttle counts tries before they are made, so that parallel ones count.
type throttle struct{ cache store.Cache }

// attempt is a login that was let through.
type attempt struct {
	throttle throttle
	counters []counter
	known    string
}

type counter struct {
	key  string
	free int64
}

// begin counts a login for the e-mail from the client, which may be "", and
// refuses it with KindLimited when it comes too soon.
func (t throttle) begin(ctx context.Context, email, client string) (attempt, error) {
	a := attempt{throttle: t}
	account := "user.login:" + digest(email)
	if client == "" {
		a.counters = []counter{{account, freeTries}}
	} else {
		client = network(client)
		pair := account + ":" + digest(client)
		a.known = pair + ":known"
		_, known, err := t.cache.Get(ctx, store.NoTenant, a.known)
		if err != nil {
			return a, err
		}
		a.counters = []counter{{pair, freeTries}}
		if !known {
			a.counters = append(a.counters, counter{account, freeTries}, counter{"user.login.client:" + digest(client), freeSpray})
		}
	}
	for _, c := range a.counters {
		n, _, err := t.cache.Increment(ctx, store.NoTenant, c.key, 1, failureWindow)
		if err != nil {
			return a, err
		}
		if n <= c.free {
			continue
		}
		delay := delayAfter(n - c.free)
		free, err := t.cache.SetIfAbsent(ctx, store.NoTenant, c.key+":slot", []byte{1}, delay)
		if err != nil {
			return a, err
		}
		if !free {
			// Only tries that were made let the delay grow.
			_, _, err := t.cache.Increment(ctx, store.NoTenant, c.key, -1, failureWindow)
			if err != nil {
				return a, err
			}
			return a, &platform.Error{
				Kind: platform.KindLimited, Code: "too_many_logins",
				Message: "too many failed logins; wait and try again", RetryAfter: delay,
			}
		}
	}
	return a, nil
}

// succeeded forgets the failures of the account. Those of a client over all
// accounts stay, or an attacker would clear them with an account of his own.
func (a attempt) succeeded(ctx context.Context) error {
	keys := make([]string, 0, 4)
	for _, c := range a.counters {
		if c.free == freeTries {
			keys = append(keys, c.key, c.key+":slot")
		}
	}
	if err := a.throttle.cache.Delete(ctx, store.NoTenant, keys...); err != nil {
		return err
	}
	if a.known == "" {
		return nil
	}
	return a.throttle.cache.Set(ctx, store.NoTenant, a.known, []byte{1}, knownFor)
}

func delayAfter(n int64) time.Duration {
	d := time.Second
	for range n - 1 {
		if d *= 2; d >= maxDelay {
			return maxDelay
		}
	}
	return d
}

// network is what clients are counted by: the /64 of an IPv6 address, of which
// a single host can use every address, and anything else as it is.
func network(client string) string {
	a, err := netip.ParseAddr(client)
	if err != nil {
		return client
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		return netip.PrefixFrom(a, 64).Masked().String()
	}
	return a.String()
}

// digest keeps addresses out of a cache that others may read.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}
