package seal

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
)

// Keys is the place of a keyset. It must be safe for concurrent use.
type Keys interface {
	// Load returns the keyset: [ErrNoKeyset] where there is none. It is called from
	// time to time while values are sealed and opened.
	Load(ctx context.Context) ([]byte, error)
	// Store replaces the keyset old, or keeps the first one where old is nil. It
	// returns [ErrChanged] where another one is there, and [ErrReadOnly] where the
	// place cannot be written.
	Store(ctx context.Context, old, next []byte) error
	// String names the place for people and logs, such as "the file acme.keys".
	// It holds no secret.
	String() string
}

// Errors of [Keys].
var (
	// ErrNoKeyset is of a place without a keyset.
	ErrNoKeyset = errors.New("there is no keyset")
	// ErrChanged is of a keyset that somebody else has changed.
	ErrChanged = errors.New("the keyset was changed by somebody else; try again")
	// ErrReadOnly is of a place that cannot be written.
	ErrReadOnly = errors.New("the place of the keyset cannot be written")
)

// maxKeyset bounds what is read as a keyset, in bytes. A key takes some 200.
const maxKeyset = 1 << 20

// Env is the environment variable of that name. It holds the JSON of a keyset, or
// that in base64, which has no character that a file of variables would have to
// quote. It cannot be written: [Memory] changes a copy.
func Env(name string) Keys { return env(name) }

type env string

func (e env) Load(context.Context) ([]byte, error) {
	text := os.Getenv(string(e)) //nolint:forbidigo // the host has named the variable
	if text == "" {
		return nil, ErrNoKeyset
	}
	return decode(text)
}

func (env) Store(context.Context, []byte, []byte) error { return ErrReadOnly }

func (e env) String() string { return "the environment variable " + string(e) }

// Memory keeps a keyset in this process alone, as a program has it that takes its
// secrets from elsewhere. The text is what [Env] takes; an empty one is a place
// without a keyset, where one is made that ends with the process: for tests.
func Memory(text string) Keys {
	m := &memory{}
	if text != "" {
		m.keyset, m.err = decode(text)
	}
	return m
}

type memory struct {
	mu     sync.Mutex
	keyset []byte
	err    error
}

func (m *memory) Load(context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil && m.keyset == nil {
		return nil, ErrNoKeyset
	}
	return slices.Clone(m.keyset), m.err
}

func (m *memory) Store(_ context.Context, old, next []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !bytes.Equal(m.keyset, old) {
		return ErrChanged
	}
	m.keyset = slices.Clone(next)
	return nil
}

func (*memory) String() string { return "memory" }

// Text returns the keyset at a place in base64, as [Env] and [Memory] take it. It
// is a secret.
func Text(ctx context.Context, keys Keys) (string, error) {
	raw, err := keys.Load(ctx)
	if err != nil {
		return "", fmt.Errorf("seal: %s: %w", keys, err)
	}
	return base64.StdEncoding.EncodeToString(raw), nil
}

// decode takes JSON as it is, and everything else as base64.
func decode(text string) ([]byte, error) {
	if text[0] == '{' {
		return []byte(text), nil
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil { // which would show what was given
		return nil, errors.New("it must hold a keyset in base64, or the JSON of one")
	}
	return raw, nil
}
