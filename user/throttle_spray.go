package user

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strconv"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// Spraying is one password tried at many accounts, a try each, from as many
// networks as it takes: no count of an account, a network or an organization sees
// it. So the accounts are counted that strangers have tried one password at.
const (
	// sprayAccounts is how many accounts strangers try a password at in sprayWindow
	// for sure.
	sprayAccounts = 20
	sprayWindow   = time.Hour
)

// spray lets a stranger's try of a password through, or says how long to wait. The
// first sprayAccounts accounts pass, and the i-th with the probability
// sprayAccounts/i: of 1,000 some 100. It delays nobody whose password is their own.
// Who has a password that is being sprayed comes in from a known device at once, and
// from elsewhere by such a draw each minute.
func (a *attempt) spray(ctx context.Context, who try) (wait time.Duration, err error) {
	t := a.throttle
	key := "user.login.spray:" + t.keyed("password", who.password)
	mark := key + ":" + digest(who.email)
	isNew, err := t.cache.SetIfAbsent(ctx, platform.NoTenant, mark, []byte{1}, sprayWindow)
	if err != nil {
		return 0, err
	}
	delta := int64(0) // the same account again is no spraying
	if isNew {
		delta = 1
	}
	accounts, _, err := t.cache.Increment(ctx, platform.NoTenant, key, delta, sprayWindow)
	if err != nil {
		return 0, err
	}
	if accounts > sprayAccounts {
		if err := t.tellSpraying(ctx, key, accounts); err != nil {
			return 0, err
		}
		if t.loses(accounts, sprayAccounts) {
			return a.lose(ctx)
		}
	}
	if isNew {
		a.drawn = append(a.drawn, drawing{key: key, window: sprayWindow, mark: mark})
	}
	return 0, nil
}

// tellSpraying tells of a password once in sprayWindow.
func (t throttle) tellSpraying(ctx context.Context, key string, accounts int64) error {
	if t.sprayed == nil {
		return nil
	}
	first, err := t.cache.SetIfAbsent(ctx, platform.NoTenant, key+":told", []byte{1}, sprayWindow)
	if err == nil && first {
		t.sprayed(ctx, accounts)
	}
	return err
}

// keyed is a digest that nobody can compare guesses with who lacks the key of the
// process.
func (t throttle) keyed(kind, s string) string {
	mac := hmac.New(sha256.New, t.key)
	mac.Write([]byte(kind + ":" + s))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// noteSpraying logs that a password is tried at many accounts and records it in the
// installation's audit. Neither tells which password, or at whom.
func (s *Service) noteSpraying(ctx context.Context, accounts int64) {
	s.log.WarnContext(ctx, "user: one password is tried at many accounts from networks that are not known",
		slog.Int64("accounts", accounts), slog.Duration("within", sprayWindow))
	err := s.db.AcrossTenants(ctx, s.cross.signIn, func(ctx context.Context, tx store.CrossTx) error {
		return s.record(ctx, tx, platform.NoTenant, auditActor{kind: platform.PrincipalSystem}, "login.sprayed", "",
			map[string]string{"accounts": strconv.FormatInt(accounts, 10)})
	}, store.Reserved)
	if err != nil {
		s.log.ErrorContext(ctx, "user: the spraying of a password is not recorded", slog.Any("error", err))
	}
}
