package user

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/acme/platform"
)

// The hash of a record covers what was done, when and with what outcome, and, of
// what may be personal, commitments: the HMAC-SHA256 of each part under a random
// salt of its own. Erasing a part puts its commitment in the place of the salt and
// blanks the value: the hash is still that of the record, and nobody can tell the
// value from the commitment, by trying all that it may have been, without the salt.
//
// The first format hashed the values themselves. Its hashes are 32 bytes, those of
// the second begin with a byte of the format: so a record of the second cannot be
// passed off as one of the first, whose values nobody could check after an
// erasure, under the same hashes.

// auditParts is a set of the parts of a record that can be erased.
type auditParts uint8

// The parts. An address and a request id go together: both say where the caller
// was.
const (
	partActor auditParts = 1 << iota
	partTarget
	partClient
	partDetail
)

var auditPartNames = [...]string{"actor", "target", "client", "detail"}

func (p auditParts) names() []string {
	var names []string
	for i, name := range auditPartNames {
		if p&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

const (
	auditSaltSize = sha256.Size
	// secondFormat begins the hashes of the second format.
	secondFormat = 2
)

func newSalts() []byte {
	salts := make([]byte, len(auditPartNames)*auditSaltSize)
	_, _ = rand.Read(salts) // it never fails
	return salts
}

// firstFormat reports whether the record was written in the first format.
func (r auditRow) firstFormat() bool { return len(r.salts) == 0 && len(r.hash) == sha256.Size }

// values are those of the i-th part.
func (r auditRow) values(i int) []string {
	switch auditParts(1) << i {
	case partActor:
		return []string{r.Actor, r.Credential}
	case partTarget:
		return []string{r.Target}
	case partClient:
		return []string{r.Client, r.RequestID}
	default:
		return []string{r.detail}
	}
}

// salt is the salt of the i-th part, or its commitment where it is erased.
func (r auditRow) salt(i int) []byte { return r.salts[i*auditSaltSize : (i+1)*auditSaltSize] }

// commitment is the HMAC-SHA256, under the part's salt, of the JSON array of the
// part's name and values.
func (r auditRow) commitment(i int) []byte {
	if r.erased&(1<<i) != 0 {
		return r.salt(i)
	}
	return mac(r.salt(i), canonical(append([]string{auditPartNames[i]}, r.values(i)...)))
}

// chained is the hash that the record must have.
func (r auditRow) chained(tenant platform.TenantID) []byte {
	if r.firstFormat() {
		return r.chainedFirst(tenant)
	}
	covered := []any{
		"audit.2", string(tenant), r.Sequence, r.ID, micros(r.Time), string(r.ActorKind), r.Action, r.Outcome,
	}
	for i := range auditPartNames {
		covered = append(covered, hex.EncodeToString(r.commitment(i)))
	}
	sum := sha256.Sum256(canonical(append(covered, hex.EncodeToString(r.previous))))
	return append([]byte{secondFormat}, sum[:]...)
}

// chainedFirst is the hash of the first format: the SHA-256 of the record as a
// JSON array with the hash before it.
func (r auditRow) chainedFirst(tenant platform.TenantID) []byte {
	sum := sha256.Sum256(canonical([]any{
		string(tenant), r.Sequence, r.ID, micros(r.Time), r.Actor, string(r.ActorKind), r.Credential, r.Action, r.Target,
		r.Outcome, r.RequestID, r.Client, r.detail, hex.EncodeToString(r.previous),
	}))
	return sum[:]
}

// canonical is a JSON array, which no two different lists share.
func canonical(list any) []byte {
	raw, err := json.Marshal(list)
	if err != nil { // strings and numbers always marshal
		panic(err)
	}
	return raw
}

// holds reports whether the record is what its hash says, and whether that could
// be told: of an erased record of the first format no more is left than its place
// in the chain.
func (r auditRow) holds(tenant platform.TenantID) (ok, opaque bool) {
	for i := range auditPartNames {
		if r.erased&(1<<i) == 0 {
			continue
		}
		for _, v := range r.values(i) {
			if v != "" {
				return false, false
			}
		}
	}
	switch {
	case r.firstFormat():
		return r.erased != 0 || bytes.Equal(r.hash, r.chained(tenant)), r.erased != 0
	case len(r.salts) != len(auditPartNames)*auditSaltSize:
		return false, false
	}
	return bytes.Equal(r.hash, r.chained(tenant)), false
}

// without returns the record with the parts blanked, and their commitments in the
// place of their salts.
func (r auditRow) without(parts auditParts) auditRow {
	r.salts = slices.Clone(r.salts)
	for i := range auditPartNames {
		bit := auditParts(1) << i
		if parts&bit == 0 || r.erased&bit != 0 {
			continue
		}
		if !r.firstFormat() {
			copy(r.salt(i), r.commitment(i))
		}
		r.erased |= bit
		switch bit {
		case partActor:
			r.Actor, r.Credential = "", ""
		case partTarget:
			r.Target = ""
		case partClient:
			r.Client, r.RequestID = "", ""
		default:
			r.detail = ""
		}
	}
	return r
}
