package user

import (
	"context"
	"crypto"
	"errors"
	"runtime"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// CheapPasswords makes hashing take a millisecond, for tests of other things.
func (s *Service) CheapPasswords() { s.passwords.cost = cost{memory: 64, passes: 1, threads: 1} }

// AwaitQueue returns once so many wait for the hasher.
func (s *Service) AwaitQueue(n int) {
	for s.passwords.lines.waiting() != n {
		runtime.Gosched()
	}
}

// Hashed is how many passwords had their turn at the hasher.
func (s *Service) Hashed() int64 {
	s.passwords.lines.mu.Lock()
	defer s.passwords.lines.mu.Unlock()
	return s.passwords.lines.begun
}

// HoldHasher takes a slot of the password hasher until the function is called.
func (s *Service) HoldHasher(ctx context.Context) (release func(), err error) {
	return func() { s.passwords.lines.release(1) }, s.passwords.lines.acquire(ctx, "", 1)
}

// WriteBehind does at once what is written in the background.
func (s *Service) WriteBehind(ctx context.Context) error {
	s.writeLate(ctx, false)
	return errors.Join(s.writeUsage(ctx), s.writeUses(ctx))
}

// PurgeSessions does at once what is removed in the background.
func (s *Service) PurgeSessions(ctx context.Context) error { return s.purgeSessions(ctx) }

// LoadedKeys returns the kids and key pairs that are loaded.
func (s *Service) LoadedKeys() (kids []string, pairs []crypto.Signer) {
	for _, k := range *s.keys.loaded.Load() {
		kids, pairs = append(kids, k.kid), append(pairs, k.private)
	}
	return kids, pairs
}

// MaintainKeys does at once what is done to signing keys in the background.
func (s *Service) MaintainKeys(ctx context.Context) error { return s.keys.maintain(ctx) }

// PasswordHash returns the PHC string at a cost in KiB and passes.
func PasswordHash(password string, memory, passes uint32) string {
	h := newHasher(1, 1, 1<<20)
	h.cost = cost{memory: memory, passes: passes, threads: 1}
	phc, err := h.hash(context.Background(), "", password)
	if err != nil {
		panic(err)
	}
	return phc
}

// Internals for tests.
var (
	CheckPassword  = passwordFault
	PasswordLists  = passwordLists
	NormalizeEmail = normalizeEmail
	Covers         = covers
	DelayAfter     = func(n int64) time.Duration { return delayAfter(n, maxDelay) }
	HashFault      = func(encoded string) string {
		if f := newHasher(1, 1, 64<<10).checkHash("", Secret(encoded)); f != nil {
			return f.Code
		}
		return ""
	}
	VerifyHash = func(encoded, password string) (right, outdated bool, err error) {
		return newHasher(1, 1, 64<<10).verify(context.Background(), "", password, encoded)
	}
)

const (
	MaxKeys          = maxKeys
	FreeTries        = freeTries
	FreeSpray        = freeSpray
	SprayAccounts    = sprayAccounts
	SprayWindow      = sprayWindow
	FreeOrganization = freeOrganization
	FirstTries       = firstTries
	MaxDevices       = maxDevices
	KnownFor         = knownFor
	DrawEvery        = drawEvery
	MaxDelay         = maxDelay
)

// ShortAudit makes one search look at so many records and one check at so many
// batches.
func (s *Service) ShortAudit(scan, batches int) { s.auditScan, s.verifyBatches = scan, batches }

// ShortExport makes one export cover so many records.
func (s *Service) ShortExport(reach int64) { s.exportReach = reach }

// Late are the bounds of what is recorded after the answer.
const (
	EachFailure = eachFailure
	LateKeys    = lateKeys
)

// TrimAudit does at once what the retention removes.
func (s *Service) TrimAudit(ctx context.Context) error {
	t := &auditTrim{Service: s}
	for more := true; more; {
		var err error
		if more, err = t.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// EraseAudits carries out the erasures that were asked for.
func (s *Service) EraseAudits(ctx context.Context) error { return s.eraseAudits(ctx) }

// AskToErase asks for an erasure in a transaction of its own.
func (s *Service) AskToErase(ctx context.Context, person string) error {
	return s.db.AcrossTenants(ctx, s.cross.audit, func(ctx context.Context, tx store.CrossTx) error {
		return s.eraseAudit(ctx, tx, person)
	})
}

// Record appends a record of the action to the principal's tenant.
func (s *Service) Record(ctx context.Context, p platform.Principal, action string) error {
	return s.RecordMany(ctx, p, action, 1)
}

// RecordMany appends n records.
func (s *Service) RecordMany(ctx context.Context, p platform.Principal, action string, n int) error {
	return s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		for range n {
			if err := s.record(ctx, tx, p.Tenant, byPrincipal(p), action, "", nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// ForgetCredentials makes the next Verify read the store.
func (s *Service) ForgetCredentials() { s.changes.raiseAll() }

// Versions are the counters of changes.
type Versions struct{ e *versions }

// NewVersions returns new ones.
func NewVersions() Versions { return Versions{newVersions()} }

// Total is the number of raises.
func (e Versions) Total() uint64 { return e.e.total.Load() }

// Raise raises the counters of the keys.
func (e Versions) Raise(keys ...string) { e.e.raise(keys...) }

// Raises is how often the counter of the key was raised.
func (e Versions) Raises(key string) uint64 { return e.e.slots[e.e.slot(key)].Load() }

// Sealing is the step that seals seeds that are not under the present key.
func (s *Service) Sealing() func(context.Context) (bool, error) { return s.sealingTask().Step }

// SeedCell is where a person's seed is.
var SeedCell = seedCell
