package user

import (
	"context"
	"strconv"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/platformtest/testclock"
	"github.com/acme/platform/store/memory"
)

// Throttle is a throttle of strangers over a cache of its own.
type Throttle struct{ t throttle }

// NewThrottle returns one whose draws are decided by pick, and its clock.
func NewThrottle(pick func(int64) int64) (Throttle, *testclock.Clock) {
	clock := testclock.At(time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC))
	t := newThrottle(memory.NewCache(64<<20, memory.WithNow(clock.Now)))
	t.pick = pick
	return Throttle{t}, clock
}

// Begin tries a password at an account.
func (t Throttle) Begin(ctx context.Context, email, client string) error {
	_, err := t.t.begin(ctx, try{email: email, client: client})
	return err
}

// BeginAt tries a password at an account and an organization, "" for none.
func (t Throttle) BeginAt(ctx context.Context, email, client, organization string) error {
	_, err := t.t.begin(ctx, try{email: email, client: client, organization: organization})
	return err
}

// Drawn counts an n-th try of somebody else.
func (t Throttle) Drawn(ctx context.Context, email string, n int64) {
	key := "user.login:" + digest(email) + ":try:" + strconv.FormatInt(n, 10)
	if _, _, err := t.t.cache.Increment(ctx, platform.NoTenant, key, 1, strangerWindow); err != nil {
		panic(err)
	}
}

// PurgeDevices does at once what is removed in the background.
func (s *Service) PurgeDevices(ctx context.Context) error { return s.purgeDevices(ctx) }
