package user

import (
	"context"
	"crypto/sha1" //nolint:gosec // the lists are of SHA-1; it protects nothing here
	"encoding/hex"
	"log/slog"
	"strings"
	"time"

	"github.com/acme/platform"
)

// Breaches looks passwords up in a list of those that are known from breaches,
// by k-anonymity: the list learns the first five digits of a password's SHA-1,
// which it shares with hundreds of others, and answers all that it has of those.
//
//	Breaches: &user.Breaches{Range: user.PwnedPasswords{}.Range, Unavailable: user.AcceptUnchecked}
//
// New passwords are looked up: at a sign-up, a change and a reset. One that is on
// the list is [platform.KindInvalid] with the code "breached" for its field.
type Breaches struct {
	// Range returns what the list has of a prefix, which is five hexadecimal
	// digits in upper case. It runs within a request and outside of transactions,
	// and bounds its own time. It must be safe for concurrent use.
	Range func(ctx context.Context, prefix string) ([]Breached, error)
	// Unavailable says what becomes of a password while Range fails. It has no
	// default.
	Unavailable Unchecked
	// AtSignIn looks up the password of each sign-in too, once it was found right:
	// one that is on the list is refused with [platform.KindForbidden]
	// "password_breached" until its owner has set another one. Whoever turns it on
	// needs a way to do that without the password.
	AtSignIn bool
}

// Breached is one entry of a list of breached passwords.
type Breached struct {
	// Suffix is the SHA-1 of a password in hexadecimal digits without the first
	// five.
	Suffix string
	// Count is how often it was seen. Entries of 0 only fill an answer up, so that
	// its size tells nothing; they are no passwords.
	Count int64
}

// Unchecked says what becomes of a password that could not be looked up.
type Unchecked int

// The choices.
const (
	// AcceptUnchecked takes the password, and logs a warning.
	AcceptUnchecked Unchecked = iota + 1
	// RefuseUnchecked refuses the call with [platform.KindUnavailable]
	// "breach_list_unavailable".
	RefuseUnchecked
)

// breachPrefix is how many hexadecimal digits the list learns.
const breachPrefix = 5

// breached reports whether the list has a password. No error means that the
// answer is to be acted on, be it for want of a better one.
func (s *Service) breached(ctx context.Context, password string) (bool, error) {
	b := s.cfg.Breaches
	if b == nil {
		return false, nil
	}
	sum := sha1.Sum([]byte(password)) //nolint:gosec // see above
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	found, err := b.Range(ctx, digits[:breachPrefix])
	if err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		s.log.WarnContext(ctx, "user: the list of breached passwords does not answer",
			slog.Bool("accepted", b.Unavailable == AcceptUnchecked), slog.Any("error", err))
		if b.Unavailable == AcceptUnchecked {
			return false, nil
		}
		return false, &platform.Error{
			Kind: platform.KindUnavailable, Code: "breach_list_unavailable",
			Message: "passwords cannot be checked at the moment; try again", RetryAfter: 5 * time.Second,
		}
	}
	for _, e := range found {
		if e.Count > 0 && strings.EqualFold(e.Suffix, digits[breachPrefix:]) {
			return true, nil
		}
	}
	return false, nil
}

// refuseBreached refuses the right password of a sign-in where the host wants
// that.
func (s *Service) refuseBreached(ctx context.Context, password string) error {
	if s.cfg.Breaches == nil || !s.cfg.Breaches.AtSignIn {
		return nil
	}
	breached, err := s.breached(ctx, password)
	if err == nil && breached {
		return platform.Errorf(platform.KindForbidden, "password_breached", "this password is known from a breach; set another one to sign in")
	}
	return err
}
