package seal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	tinkkeyset "github.com/tink-crypto/tink-go/v2/keyset"
	tinkpb "github.com/tink-crypto/tink-go/v2/proto/tink_go_proto"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// keyset is what was read from its place. It is not changed.
type keyset struct {
	handle  *tinkkeyset.Handle
	aead    tink.AEAD
	primary uint32
	status  map[uint32]tinkpb.KeyStatusType
	raw     [sha256.Size]byte // of what it was read from
	readAt  time.Time
}

// has reports whether values under the key can be opened.
func (k *keyset) has(id uint32) bool { return k.status[id] == tinkpb.KeyStatusType_ENABLED }

func (k *keyset) retired(id uint32) bool { return k.status[id] == tinkpb.KeyStatusType_DISABLED }

// wrapping binds a wrapped keyset to what it is for.
var wrapping = []byte("github.com/acme/platform/store/seal")

var (
	errWrapped = errors.New("the keyset is wrapped, or is none: a wrapped one needs Config.KMS, which unwraps it")
	errClear   = errors.New("the keyset is not wrapped by Config.KMS, or is none")
	errKind    = errors.New("the keyset holds a key that is not of Tink's kind AES-GCM with its prefix, as the keysets of this package have")
)

const aesGCM = "type.googleapis.com/google.crypto.tink.AesGcmKey"

// parse reads the JSON of Tink. Errors never repeat the input.
func (s *Sealer) parse(ctx context.Context, raw []byte) (*keyset, error) {
	sum := sha256.Sum256(raw)
	if k := s.loaded.Load(); k != nil && k.raw == sum { // the key management service need not be asked
		again := *k
		again.readAt = s.cfg.Now()
		return &again, nil
	}
	handle, err := s.handle(ctx, raw)
	if err != nil {
		return nil, err
	}
	k := &keyset{handle: handle, raw: sum, readAt: s.cfg.Now(), status: make(map[uint32]tinkpb.KeyStatusType)}
	info := handle.KeysetInfo()
	k.primary = info.GetPrimaryKeyId()
	for _, key := range info.GetKeyInfo() {
		if key.GetTypeUrl() != aesGCM || key.GetOutputPrefixType() != tinkpb.OutputPrefixType_TINK {
			return nil, errKind
		}
		k.status[key.GetKeyId()] = key.GetStatus()
	}
	if k.aead, err = aead.New(handle); err != nil {
		return nil, fmt.Errorf("the keyset cannot be used: %w", err)
	}
	return k, nil
}

// handle reads the JSON of Tink, and has the KMS unwrap it.
func (s *Sealer) handle(ctx context.Context, raw []byte) (*tinkkeyset.Handle, error) {
	reader := tinkkeyset.NewJSONReader(bytes.NewReader(raw))
	if s.cfg.KMS == nil {
		handle, err := insecurecleartextkeyset.Read(reader)
		if err != nil { // which may show what was read
			return nil, errWrapped
		}
		return handle, nil
	}
	wrapped, err := reader.ReadEncrypted()
	if err != nil || len(wrapped.GetEncryptedKeyset()) == 0 {
		return nil, errClear
	}
	handle, err := tinkkeyset.ReadWithContext(ctx, tinkkeyset.NewJSONReader(bytes.NewReader(raw)), s.cfg.KMS, wrapping)
	if err != nil {
		return nil, platform.Errorf(platform.KindUnavailable, "keys_unavailable", "the keys of secrets cannot be read").Because(
			fmt.Errorf("seal: the keyset could not be unwrapped: %w", err))
	}
	return handle, nil
}

// text is the JSON of a keyset, wrapped where there is a KMS.
func (s *Sealer) text(ctx context.Context, handle *tinkkeyset.Handle) ([]byte, error) {
	var out bytes.Buffer
	writer := tinkkeyset.NewJSONWriter(&out)
	if s.cfg.KMS != nil {
		if err := handle.WriteWithContext(ctx, writer, s.cfg.KMS, wrapping); err != nil {
			return nil, fmt.Errorf("the keyset could not be wrapped: %w", err)
		}
	} else if err := insecurecleartextkeyset.Write(handle, writer); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// keyOf returns the key that a value is under: Tink writes 1 and the key's number
// before what it encrypts.
func keyOf(sealed []byte) (uint32, bool) {
	const prefix = 5
	if len(sealed) <= prefix || sealed[0] != 1 {
		return 0, false
	}
	return binary.BigEndian.Uint32(sealed[1:prefix]), true
}

// keyName is how a key is called towards people.
func keyName(id uint32) string { return hex.EncodeToString(binary.BigEndian.AppendUint32(nil, id)) }

// associated is the place of a value as bytes, each part after its length, so that
// no two cells give the same.
func associated(at store.Cell) []byte {
	out := make([]byte, 0, 64)
	for _, part := range []string{"cell", string(at.Tenant), at.Table, at.Column, at.Row} {
		out = binary.AppendUvarint(out, uint64(len(part)))
		out = append(out, part...)
	}
	return out
}
