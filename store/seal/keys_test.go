package seal_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	tinkkeyset "github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/acme/platform"
	"github.com/acme/platform/store/seal"
)

// A file is made at the first use, for its owner alone, said in the log, and read by
// the next process; a second use does not make it.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "acme.keys")
	var log bytes.Buffer
	logged := func(c *seal.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
	s := sealer(t, seal.File(path), logged)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("New touched it: %v", err)
	}
	value := sealed(t, s, "x")
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if n := strings.Count(log.String(), "made a keyset"); n != 1 {
		t.Errorf("said %d times: %s", n, log.String())
	}
	again := sealer(t, seal.File(path), logged)
	opens(t, again, value, "x")
	_, err = again.Rotate(t.Context())
	must(t, err)
	if info, err = os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("after the rotation: %v, %v", info, err)
	}
	opens(t, sealer(t, seal.File(path)), sealed(t, again, "y"), "y")
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("left behind: %v, %v", files, err)
	}
	raw, err := os.ReadFile(path)
	must(t, err)
	if strings.Contains(log.String(), string(raw)) {
		t.Error("the log shows the keyset")
	}
}

// Processes that start together over a missing file have one keyset.
func TestFileMadeTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acme.keys")
	var all sync.WaitGroup
	values := make([][]byte, 20)
	for i := range values {
		all.Go(func() { values[i] = sealed(t, sealer(t, seal.File(path)), "x") })
	}
	all.Wait()
	last := sealer(t, seal.File(path))
	for _, v := range values {
		opens(t, last, v, "x")
	}
	if keys, err := last.List(t.Context()); err != nil || len(keys) != 1 {
		t.Errorf("got %v, %v", keys, err)
	}
}

// A file that others can read is refused, and so is what is no keyset; no error
// shows what is in it.
func TestFileRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acme.keys")
	must(t, sealer(t, seal.File(path)).Start(t.Context()))
	for _, mode := range []os.FileMode{0o644, 0o604, 0o602, 0o620, 0o660} {
		must(t, os.Chmod(path, mode))
		err := sealer(t, seal.File(path)).Start(t.Context())
		if err == nil || !strings.Contains(causes(err), fmt.Sprintf("its mode is %04o: make it 0600", mode)) {
			t.Errorf("%04o: %s", mode, causes(err))
		}
	}
	must(t, os.Chmod(path, 0o400))
	must(t, sealer(t, seal.File(path)).Start(t.Context()))
	must(t, os.Chmod(path, 0o600))
	for _, text := range []string{"", "hunter2", "{}", `{"primaryKeyId":1,"hunter2":[]}`, `{"encryptedKeyset":"aHVudGVyMg=="}`, strings.Repeat("a", 2<<20)} {
		must(t, os.WriteFile(path, []byte(text), 0o600))
		err := sealer(t, seal.File(path)).Start(t.Context())
		if err == nil || strings.Contains(causes(err), "hunter2") {
			t.Errorf("%.40q: %s", text, causes(err))
		}
	}
	if err := sealer(t, seal.File(t.TempDir())).Start(t.Context()); err == nil {
		t.Error("a folder is taken")
	}
}

// causes are an error and what is behind it.
func causes(err error) string {
	text := ""
	for ; err != nil; err = errors.Unwrap(err) {
		text += err.Error() + "; "
	}
	return text
}

// A variable holds a keyset as JSON or in base64. It cannot be changed; a copy can.
func TestEnv(t *testing.T) {
	ctx := t.Context()
	place := seal.Memory("")
	value := sealed(t, sealer(t, place), "x")
	raw, err := place.Load(ctx)
	must(t, err)
	text, err := seal.Text(ctx, place)
	must(t, err)
	for _, v := range []string{text, string(raw)} {
		t.Setenv("SEAL_TEST_KEYS", v)
		s := sealer(t, seal.Env("SEAL_TEST_KEYS"))
		opens(t, s, value, "x")
		if _, err := s.Rotate(ctx); !errors.Is(err, seal.ErrReadOnly) {
			t.Errorf("rotated: %v", err)
		}
	}
	for _, bad := range []string{"", "hunter2 hunter2", "aHVudGVyMg=="} {
		t.Setenv("SEAL_TEST_KEYS", bad)
		err := sealer(t, seal.Env("SEAL_TEST_KEYS")).Start(ctx)
		if err == nil || strings.Contains(causes(err), "hunter2") || !strings.Contains(causes(err), "SEAL_TEST_KEYS") {
			t.Errorf("%q: %s", bad, causes(err))
		}
	}
}

// kms stands for a key management service.
type kms struct {
	tink.AEAD
	asked int
	err   error
}

func newKMS(tb testing.TB) *kms {
	tb.Helper()
	handle, err := tinkkeyset.NewHandle(aead.AES256GCMKeyTemplate())
	must(tb, err)
	key, err := aead.New(handle)
	must(tb, err)
	return &kms{AEAD: key}
}

func (k *kms) EncryptWithContext(_ context.Context, plain, associated []byte) ([]byte, error) {
	return k.Encrypt(plain, associated)
}

func (k *kms) DecryptWithContext(_ context.Context, sealed, associated []byte) ([]byte, error) {
	if k.asked++; k.err != nil {
		return nil, k.err
	}
	return k.Decrypt(sealed, associated)
}

// With a KMS the place holds nothing that is of use alone; the service is asked when
// the keyset changes and not for each value.
func TestKMS(t *testing.T) {
	service := newKMS(t)
	now := time.Unix(1_000_000, 0)
	wrapped := func(c *seal.Config) { c.KMS, c.Now = service, func() time.Time { return now } }
	path := filepath.Join(t.TempDir(), "acme.keys")
	s := sealer(t, seal.File(path), wrapped)
	value := sealed(t, s, "x")
	for range 100 { // the file is read each time, and has not changed
		now = now.Add(time.Hour)
		opens(t, s, value, "x")
	}
	if service.asked != 1 {
		t.Errorf("asked %d times", service.asked)
	}
	two := sealer(t, seal.File(path), wrapped)
	opens(t, two, value, "x")
	_, err := s.Rotate(t.Context())
	must(t, err)
	opens(t, two, sealed(t, s, "y"), "y")

	if err := sealer(t, seal.File(path)).Start(t.Context()); err == nil || !strings.Contains(causes(err), "needs Config.KMS") {
		t.Errorf("without the service: %s", causes(err))
	}
	if err := sealer(t, seal.File(path), func(c *seal.Config) { c.KMS = newKMS(t) }).Start(t.Context()); err == nil {
		t.Error("another key of the service unwraps it")
	}
	service.err = errors.New("no answer")
	if err := sealer(t, seal.File(path), wrapped).Start(t.Context()); platform.KindOf(err) != platform.KindUnavailable {
		t.Errorf("while the service is away: %v", err)
	}
	opens(t, s, value, "x")
	clear := seal.Memory("")
	sealed(t, sealer(t, clear), "x")
	if err := sealer(t, clear, wrapped).Start(t.Context()); err == nil || !strings.Contains(causes(err), "not wrapped") {
		t.Errorf("a keyset in the clear: %s", causes(err))
	}
}
