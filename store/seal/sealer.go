package seal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/setting"
	"github.com/acme/platform/store"
)

// KMS encrypts a keyset under a key that never leaves a key management service. The
// clients of Tink for such services ([tink.AEADWithContext]) are one. It must be
// safe for concurrent use.
type KMS = tink.AEADWithContext

// Config configures a [Sealer]. Keys must be set.
type Config struct {
	// Keys is where the keyset is. One that is not there is made at the first
	// use, where the place can be written.
	Keys Keys
	// KMS wraps the keyset; nil is a keyset in the clear.
	KMS KMS
	// Reload is how often Keys is read again while values are sealed and opened:
	// at least 1 s, zero is 1 min. A value under a key that is not known has it
	// read at once.
	Reload time.Duration
	// Logger takes that a keyset was made or cannot be read again; nil is silence.
	Logger *slog.Logger
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
}

// Open implements [store.SealerOpener].
func (c Config) Open(env store.Env) (store.Sealer, error) {
	if c.Logger == nil {
		c.Logger = env.Logger
	}
	if c.Now == nil {
		c.Now = env.Now
	}
	return New(c)
}

// Open returns the opener of a sealer whose keyset is in the clear at keys.
func Open(keys Keys) store.SealerOpener { return Config{Keys: keys}.Open }

// Sealer is a [store.Sealer]. It is made by [New]; its methods are safe for
// concurrent use, and work without [Sealer.Start].
type Sealer struct {
	cfg    Config
	loaded atomic.Pointer[keyset]

	mu      sync.Mutex           // one reading or change at a time
	unknown map[uint32]time.Time // keys that the place did not have, and when
}

var (
	_ store.Sealer       = (*Sealer)(nil)
	_ platform.Starter   = (*Sealer)(nil)
	_ platform.Explainer = (*Sealer)(nil)
)

// unknownPause is for how long a key that the place does not have is not looked for
// again.
const unknownPause = time.Second

// New makes a sealer. It does no I/O.
func New(cfg Config) (*Sealer, error) {
	if cfg.Reload == 0 {
		cfg.Reload = time.Minute
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	check := setting.For("seal")
	check.Need(cfg.Keys != nil, "Keys", `must be set, such as Keys: seal.File("/etc/acme/platform.keys")`)
	check.Need(cfg.Reload >= time.Second, "Reload", "must be at least 1s")
	if err := check.Err(); err != nil {
		return nil, err
	}
	return &Sealer{cfg: cfg, unknown: make(map[uint32]time.Time)}, nil
}

// Name returns "seal".
func (s *Sealer) Name() string { return "seal" }

// Start reads the keyset, so that one that is missing or not safe ends the start
// and not a request.
func (s *Sealer) Start(ctx context.Context) error {
	_, err := s.current(ctx)
	return err
}

// Explain implements [platform.Explainer].
func (s *Sealer) Explain() string {
	words := "secrets are sealed under keys in " + s.cfg.Keys.String()
	if s.cfg.KMS != nil {
		words += ", wrapped by a key management service"
	}
	return words
}

// Seal implements [store.Sealer]. Its errors are of [platform.KindInternal], or of
// [platform.KindUnavailable] where the keyset could not be read yet.
func (s *Sealer) Seal(ctx context.Context, at store.Cell, plain []byte) ([]byte, error) {
	k, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	sealed, err := k.aead.Encrypt(plain, associated(at))
	if err != nil {
		return nil, platform.Errorf(platform.KindInternal, "sealing", "a secret could not be sealed").Because(
			fmt.Errorf("seal: %w", err))
	}
	return sealed, nil
}

// Open implements [store.Sealer].
func (s *Sealer) Open(ctx context.Context, at store.Cell, sealed []byte) ([]byte, error) {
	k, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	id, ok := keyOf(sealed)
	if ok && !k.has(id) {
		if k, err = s.find(ctx, id); err != nil {
			return nil, err
		}
	}
	plain, err := k.aead.Decrypt(sealed, associated(at))
	if err != nil {
		return nil, s.notOpened(k, at, id, ok)
	}
	return plain, nil
}

// notOpened says in the cause, which goes to the log, what an operator can do.
func (s *Sealer) notOpened(k *keyset, at store.Cell, id uint32, sealed bool) error {
	why := "it was changed, or sealed for another cell"
	switch {
	case !sealed:
		why = "it is not sealed"
	case k.retired(id):
		why = fmt.Sprintf("its key %s is retired; restore it", keyName(id))
	case !k.has(id):
		why = fmt.Sprintf("its key %s is not in %s: is this the keyset that it was sealed under?", keyName(id), s.cfg.Keys)
	}
	return platform.Errorf(platform.KindInternal, "sealing", "a secret could not be opened").Because(
		fmt.Errorf("seal: %s.%s cannot be opened: %s", at.Table, at.Column, why))
}

// currentTimeout bounds a reading of the keyset by [Sealer.Current], which has no
// context.
const currentTimeout = 10 * time.Second

// Current implements [store.Sealer]. It reads the keyset like Seal and Open: it may
// be all that the work in the background calls.
func (s *Sealer) Current(sealed []byte) bool {
	ctx, cancel := context.WithTimeout(context.Background(), currentTimeout)
	defer cancel()
	k, err := s.current(ctx)
	id, ok := keyOf(sealed)
	return err == nil && ok && id == k.primary
}

// current returns the keyset, which is read again from time to time. What was known
// stays good while its place cannot be read.
func (s *Sealer) current(ctx context.Context) (*keyset, error) {
	k := s.loaded.Load()
	if k != nil && s.cfg.Now().Sub(k.readAt) < s.cfg.Reload {
		return k, nil
	}
	if k != nil && !s.mu.TryLock() {
		return k, nil // somebody is reading it
	}
	if k == nil {
		s.mu.Lock()
		if k = s.loaded.Load(); k != nil {
			s.mu.Unlock()
			return k, nil
		}
	}
	defer s.mu.Unlock()
	read, err := s.read(ctx)
	if err == nil {
		return read, nil
	}
	if k == nil {
		return nil, err
	}
	s.cfg.Logger.WarnContext(ctx, "seal: the keyset could not be read again", slog.Any("error", err))
	again := *k
	again.readAt = s.cfg.Now()
	s.loaded.Store(&again)
	return &again, nil
}

// find returns the keyset after it was read again for a key, unless that was in
// vain a moment ago.
func (s *Sealer) find(ctx context.Context, id uint32) (*keyset, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.loaded.Load()
	now := s.cfg.Now()
	if last, ok := s.unknown[id]; k.has(id) || ok && now.Sub(last) < unknownPause {
		return k, nil
	}
	k, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	if !k.has(id) {
		if len(s.unknown) > 100 {
			clear(s.unknown)
		}
		s.unknown[id] = now
	}
	return k, nil
}

// read reads the keyset, and makes it where there is none. The caller holds mu.
func (s *Sealer) read(ctx context.Context) (*keyset, error) {
	raw, err := s.cfg.Keys.Load(ctx)
	if errors.Is(err, ErrNoKeyset) && s.loaded.Load() == nil {
		raw, err = s.create(ctx)
	}
	if err != nil {
		return nil, platform.Errorf(platform.KindUnavailable, "keys_unavailable", "the keys of secrets cannot be read").Because(
			fmt.Errorf("seal: %s: %w", s.cfg.Keys, err))
	}
	return s.take(ctx, raw)
}

// take makes raw what is loaded. The caller holds mu.
func (s *Sealer) take(ctx context.Context, raw []byte) (*keyset, error) {
	k, err := s.parse(ctx, raw)
	if errors.Is(err, platform.ErrUnavailable) {
		return nil, err
	}
	if err != nil {
		return nil, platform.Errorf(platform.KindInternal, "sealing", "the keys of secrets cannot be read").Because(
			fmt.Errorf("seal: %s: %w", s.cfg.Keys, err))
	}
	s.loaded.Store(k)
	return k, nil
}
