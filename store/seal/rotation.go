package seal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/tink-crypto/tink-go/v2/aead"
	tinkkeyset "github.com/tink-crypto/tink-go/v2/keyset"

	"github.com/acme/platform"
)

// Key is one of a keyset's.
type Key struct {
	// ID is eight hexadecimal digits.
	ID string
	// Primary is the key that seals.
	Primary bool
	// Retired is one that no longer opens.
	Retired bool
}

// List returns the keys of the keyset as its place has it now, the oldest first.
func (s *Sealer) List(ctx context.Context) ([]Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	var all []Key
	for _, key := range k.handle.KeysetInfo().GetKeyInfo() {
		id := key.GetKeyId()
		all = append(all, Key{ID: keyName(id), Primary: id == k.primary, Retired: k.retired(id)})
	}
	return all, nil
}

// Rotate adds a key and makes it the primary one. It is for processes that read the
// keyset at one place. Errors of this and the other changes: [ErrReadOnly] and
// [ErrChanged], in the chain.
func (s *Sealer) Rotate(ctx context.Context) (id string, err error) {
	err = s.change(ctx, "rotated", func(m *tinkkeyset.Manager) error {
		added, err := m.Add(aead.AES256GCMKeyTemplate())
		if err != nil {
			return err
		}
		id = keyName(added)
		return m.SetPrimary(added)
	})
	return id, err
}

// Publish adds a key that opens and does not seal yet, for processes that each have
// a copy of the keyset: once all have this one, [Sealer.Promote] makes the key the
// primary one.
func (s *Sealer) Publish(ctx context.Context) (id string, err error) {
	err = s.change(ctx, "published", func(m *tinkkeyset.Manager) error {
		added, err := m.Add(aead.AES256GCMKeyTemplate())
		id = keyName(added)
		return err
	})
	return id, err
}

// Promote makes a key the primary one. Error: [platform.KindNotFound].
func (s *Sealer) Promote(ctx context.Context, id string) error {
	return s.changeKey(ctx, "promoted", id, func(m *tinkkeyset.Manager, key uint32) error { return m.SetPrimary(key) })
}

// Retire ends an old key: what is still under it cannot be opened until it is
// restored. Errors: [platform.KindNotFound], and [platform.KindConflict] for the
// primary key.
func (s *Sealer) Retire(ctx context.Context, id string) error {
	return s.changeKey(ctx, "retired", id, func(m *tinkkeyset.Manager, key uint32) error { return m.Disable(key) })
}

// Restore has a retired key open again. Error: [platform.KindNotFound].
func (s *Sealer) Restore(ctx context.Context, id string) error {
	return s.changeKey(ctx, "restored", id, func(m *tinkkeyset.Manager, key uint32) error { return m.Enable(key) })
}

func (s *Sealer) changeKey(ctx context.Context, what, id string, change func(*tinkkeyset.Manager, uint32) error) error {
	return s.change(ctx, what, func(m *tinkkeyset.Manager) error {
		for key := range s.loaded.Load().status {
			if keyName(key) != id {
				continue
			}
			if err := change(m, key); err != nil {
				return platform.Errorf(platform.KindConflict, "key_in_use",
					"the primary key cannot be retired, and a retired key cannot be made the primary one").Because(err)
			}
			return nil
		}
		return platform.NotFound("key")
	})
}

// change replaces the keyset, unless somebody else did between the reading and the
// writing.
func (s *Sealer) change(ctx context.Context, what string, change func(*tinkkeyset.Manager) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, err := s.read(ctx)
	if err != nil {
		return err
	}
	old, err := s.cfg.Keys.Load(ctx)
	if err == nil {
		k, err = s.take(ctx, old)
	}
	if err != nil {
		return err
	}
	m := tinkkeyset.NewManagerFromHandle(k.handle)
	if err := change(m); err != nil {
		return err
	}
	handle, err := m.Handle()
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	raw, err := s.text(ctx, handle)
	if err == nil {
		err = s.cfg.Keys.Store(ctx, old, raw)
	}
	if err != nil {
		return fmt.Errorf("seal: change the keyset in %s: %w", s.cfg.Keys, err)
	}
	s.cfg.Logger.InfoContext(ctx, "seal: the keyset was changed", slog.String("change", what), slog.String("keys", s.cfg.Keys.String()))
	_, err = s.take(ctx, raw)
	return err
}

// create makes the first keyset, and returns that of another process which was
// quicker. The caller holds mu.
func (s *Sealer) create(ctx context.Context) ([]byte, error) {
	handle, err := tinkkeyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, err
	}
	raw, err := s.text(ctx, handle)
	if err != nil {
		return nil, err
	}
	err = s.cfg.Keys.Store(ctx, nil, raw)
	switch {
	case errors.Is(err, ErrReadOnly):
		return nil, ErrNoKeyset
	case errors.Is(err, ErrChanged):
		return s.cfg.Keys.Load(ctx)
	case err != nil:
		return nil, err
	}
	s.cfg.Logger.WarnContext(ctx, "seal: made a keyset; without it no secret in the store can be read: keep a copy, apart from the store's",
		slog.String("keys", s.cfg.Keys.String()))
	return slices.Clone(raw), nil
}
