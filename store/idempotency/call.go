package idempotency

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/internal/sqltx"
)

// Call is one call of a service's method that came with a key. Nil is a call
// without one: its methods then do nothing but run the effect. A Call is for one
// goroutine.
type Call struct {
	keys      *Keys
	key       *platform.IdempotencyKey
	operation string
	hash      []byte
	request   []byte // what was asked, as JSON
	print     []byte // its fingerprint
	limit     int64
}

// Only returns the key of a method's optional last argument, nil without one.
// More than one is a mistake of the caller's, of which the first counts.
func Only(keys []*platform.IdempotencyKey) *platform.IdempotencyKey {
	if len(keys) == 0 {
		return nil
	}
	return keys[0]
}

// DerivedID returns an id that follows from the key, the principal and the
// operation: a store without transactions that a row of this package could join
// finds by it what an earlier call made. It tells nothing about the key.
func DerivedID(prefix string, key *platform.IdempotencyKey, p platform.Principal, operation string) string {
	sum := sha256.Sum256(append([]byte("id"), hash(p, operation, key.Text())...))
	return prefix + "_" + strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16]))
}

// Call prepares a call: it is made before the transaction begins, since the
// tenant's limits are read here. operation is the id of the operation, and
// request what was asked of it, all of it: two requests are the same if their
// JSON is. A type that hides itself from JSON, such as a password, is given as
// its text. A principal without a tenant is that of a call which makes the
// tenant; it has no limit. Without a key the Call is nil, and nothing is computed.
func (k *Keys) Call(ctx context.Context, key *platform.IdempotencyKey, p platform.Principal, operation string, request any) (*Call, error) {
	if key == nil {
		return nil, nil //nolint:nilnil // nil is a call without a key
	}
	limit := int64(-1)
	if p.Tenant != "" {
		limits, err := k.cfg.Limits.Of(ctx, p.Tenant)
		if err != nil {
			return nil, err
		}
		limit = limits.IdempotencyKeys
	}
	asked, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("idempotency: the request of %s: %w", operation, err)
	}
	c := &Call{keys: k, key: key, operation: operation, request: asked, limit: limit}
	c.hash = hash(p, operation, key.Text())
	c.print, err = fingerprint(key.Text(), c.hash, asked)
	return c, err
}

// Do runs effect in tx, once for all calls with the key, and keeps the answer
// that effect has put into out; a later call finds that answer in out, and effect
// is not run. out is a pointer to what encoding/json keeps whole, up to
// [MaxAnswer] as JSON; see [Call.DoLarge].
//
// Errors, beside those of effect: KindConflict "idempotency_running",
// KindInvalid "idempotency_key_reused", KindLimited "rate_exceeded" where the
// tenant has as many keys as its limit says.
func (c *Call) Do(ctx context.Context, tx store.Tx, out any, effect func() error) error {
	replayed, err := c.Begin(ctx, tx, out)
	if err != nil || replayed {
		return err
	}
	if err := effect(); err != nil {
		return err
	}
	return c.Keep(ctx, tx, out)
}

// DoLarge is Do for an answer that may be larger than [MaxAnswer]. Of such a one
// only the id is kept, which id returns after the effect; a later call reads the
// thing again with reread, as it then is: an error of KindNotFound where it was
// removed since.
func (c *Call) DoLarge(ctx context.Context, tx store.Tx, out any, effect func() error, id func() string, reread func(id string) error) error {
	if c == nil {
		return effect()
	}
	kept := largeAnswer{Answer: out}
	replayed, err := c.Begin(ctx, tx, &kept)
	switch {
	case err != nil:
		return err
	case replayed && kept.ID != "":
		return reread(kept.ID)
	case replayed:
		return nil
	}
	if err := effect(); err != nil {
		return err
	}
	raw, err := encode(out)
	if err != nil {
		return fmt.Errorf("idempotency: the answer of %s: %w", c.operation, err)
	}
	if len(raw) > MaxAnswer-256 {
		return c.Keep(ctx, tx, largeAnswer{ID: id()})
	}
	return c.Keep(ctx, tx, largeAnswer{Answer: json.RawMessage(raw)})
}

// largeAnswer is an answer, or the id of what it showed.
type largeAnswer struct {
	ID     string `json:"id,omitempty"`
	Answer any    `json:"answer,omitempty"`
}

// Begin looks for the answer of an earlier call, and puts it into out. It is
// for a method that checks between Begin and [Call.Keep] what may have changed
// since the first call; others use [Call.Do]. The errors are those of Do.
func (c *Call) Begin(ctx context.Context, tx store.Tx, out any) (replayed bool, err error) {
	if c == nil {
		return false, nil
	}
	c.key.SetReplayed(false) // the transaction may run again
	request, sealed, err := c.find(ctx, tx)
	if err != nil || request == nil {
		return false, err
	}
	if !hmac.Equal(request, c.print) {
		return false, Reused()
	}
	aead, err := sealer(c.key.Text(), c.hash, c.request)
	if err != nil {
		return false, err
	}
	answer, err := open(aead, c.hash, sealed)
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return false, fmt.Errorf("idempotency: the stored answer of %s: %w", c.operation, err)
	}
	c.key.SetReplayed(true)
	return true, nil
}

// Kept reports whether the tenant has an answer for the key. It is for what a
// method does before its transaction and a second call must not do again, such as
// counting; the answer itself is what Begin finds.
func (c *Call) Kept(ctx context.Context, tenant platform.TenantID) (bool, error) {
	if c == nil {
		return false, nil
	}
	var one int
	err := store.ReadRow(ctx, c.keys.cfg.DB, tenant, `SELECT 1 FROM idempotency_keys WHERE tenant = ? AND hash = ? AND created_at > ?`,
		[]any{string(tenant), c.hash, c.keys.forgotten()}, &one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("idempotency: look for an earlier call: %w", err)
	}
	return true, nil
}

// Reader reads a row; a transaction across tenants is one.
type Reader interface {
	QueryRow(ctx context.Context, query string, args ...any) *sql.Row
}

// TenantOf returns which of the tenants has an answer for the key, "" for none.
// It is for a method that makes a tenant: the row commits there, and a second
// call looks for it among the tenants that may be the one. That two calls at once
// do not both make one is for the method to see to; a lock of Begin holds them
// apart on most stores, and a unique row on all.
func (c *Call) TenantOf(ctx context.Context, r Reader, tenants []platform.TenantID) (platform.TenantID, error) {
	if c == nil || len(tenants) == 0 {
		return "", nil
	}
	args := make([]any, 0, len(tenants)+2)
	for _, t := range tenants {
		args = append(args, string(t))
	}
	var found platform.TenantID
	err := r.QueryRow(ctx, `SELECT tenant FROM idempotency_keys WHERE tenant IN (?`+strings.Repeat(", ?", len(tenants)-1)+`)
		AND hash = ? AND created_at > ? LIMIT 1`, append(args, c.hash, c.keys.forgotten())...).Scan(&found)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", fmt.Errorf("idempotency: look for an earlier call: %w", err)
	}
	return found, nil
}

// One statement finds the row, counts the rows of its part, and on a store with
// several writers takes the lock that a running call holds until it ends. The
// lock may be free since the statement saw no row, and a row that was committed
// in between is then met by Keep.
const (
	findRow = `LEFT JOIN (SELECT request, answer FROM idempotency_keys WHERE tenant = ? AND hash = ? AND created_at > ?) k ON TRUE
		CROSS JOIN (SELECT coalesce(sum(units), 0) AS used FROM idempotency_keys
			WHERE tenant = ? AND hash >= ? AND hash <= ? AND created_at > ?) u`
	findAlone  = `SELECT TRUE, k.request, k.answer, u.used FROM (SELECT 1) l ` + findRow
	findLocked = `SELECT l.got, k.request, k.answer, u.used FROM (SELECT pg_try_advisory_xact_lock(?) AS got) l ` + findRow
)

// find returns the fingerprint and the sealed answer of the row, nil without
// one.
func (c *Call) find(ctx context.Context, tx store.Tx) (request, sealed []byte, err error) {
	tenant, after := string(tx.Tenant()), c.keys.forgotten()
	low, high, most := part(c.hash, c.limit)
	query, args := findAlone, make([]any, 0, 8)
	if c.keys.tryLock {
		query, args = findLocked, append(args, sqltx.AdvisoryKey("idempotency", string(c.hash)))
	}
	args = append(args, tenant, c.hash, after, tenant, low, high, after)
	var (
		got  bool
		used int64
	)
	err = tx.QueryRow(ctx, query, args...).Scan(&got, &request, &sealed, &used)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("idempotency: look for an earlier call: %w", err)
	case request != nil:
		return request, sealed, nil
	case !got:
		return nil, nil, running()
	case most >= 0 && used >= most:
		return nil, nil, c.full(ctx, tx, low, high)
	}
	return nil, nil, nil
}

// encode is json.Marshal without the escapes for HTML, which would change a
// json.RawMessage.
func encode(v any) ([]byte, error) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimRight(out.Bytes(), "\n"), err
}

// Keep keeps the answer of a first call in the transaction of its effect.
func (c *Call) Keep(ctx context.Context, tx store.Tx, out any) error {
	if c == nil {
		return nil
	}
	answer, err := encode(out)
	if err != nil {
		return fmt.Errorf("idempotency: the answer of %s: %w", c.operation, err)
	}
	if len(answer) > MaxAnswer {
		return fmt.Errorf("idempotency: the answer of %s has %d bytes of JSON, more than %d: use DoLarge", c.operation, len(answer), MaxAnswer)
	}
	aead, err := sealer(c.key.Text(), c.hash, c.request)
	if err != nil {
		return err
	}
	sealed := seal(aead, c.hash, answer)
	result, err := tx.Exec(ctx, `INSERT INTO idempotency_keys (tenant, hash, operation, request, answer, units, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, hash) DO UPDATE SET
		request = excluded.request, answer = excluded.answer, units = excluded.units, created_at = excluded.created_at
		WHERE idempotency_keys.created_at <= ?`,
		string(tx.Tenant()), c.hash, c.operation, c.print, sealed, unitsOf(len(sealed)), c.keys.cfg.Now().UnixMicro(), c.keys.forgotten())
	if err != nil {
		return fmt.Errorf("idempotency: keep the answer of %s: %w", c.operation, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return fmt.Errorf("idempotency: keep the answer of %s: %w", c.operation, err)
	}
	if n != 1 { // another call committed since Begin looked
		return sqltx.Again(running())
	}
	return nil
}

// runningRetry is when a call that met a running one is worth repeating.
const runningRetry = time.Second

func running() error {
	e := platform.Errorf(platform.KindConflict, "idempotency_running", "a call with this Idempotency-Key is running; repeat yours for its answer")
	e.RetryAfter = runningRetry
	return e
}

// Reused is the error of a key that was used for another input.
func Reused() error {
	e := platform.Errorf(platform.KindInvalid, "idempotency_key_reused", "this Idempotency-Key was used for another request; a new request needs a new key")
	e.Fields = []platform.Field{{Path: "header." + platform.IdempotencyKeyHeader, Code: "reused", Detail: "a key that was not used for another request"}}
	return e
}

// unit is how many bytes of an answer count as one key.
const unit = 4 << 10

func unitsOf(size int) int { return (size + unit - 1) / unit }

// wantedPart is about how many units of a limit one part of the hashes has: few
// enough to be added up with every call, and so many that chance fills no part
// long before the others.
const wantedPart = 512

// part returns the range of hashes that are counted together with hash, and how
// many units of the limit are theirs. Hashes are spread evenly, so the sum over
// all parts is within the limit, and nothing is written in common: a counter of
// the tenant would make its calls follow each other.
func part(hash []byte, limit int64) (low, high []byte, most int64) {
	bits := 0
	for bits < 32 && limit>>(bits+1) >= wantedPart {
		bits++
	}
	if limit < 0 { // nothing to count
		return hash, hash, -1
	}
	mask := ^uint32(0) << (32 - bits) // all shifted out for bits of 0
	first := binary.BigEndian.Uint32(hash) & mask
	low, high = make([]byte, len(hash)), make([]byte, len(hash))
	for i := range high {
		high[i] = 0xff
	}
	binary.BigEndian.PutUint32(low, first)
	binary.BigEndian.PutUint32(high, first|^mask)
	return low, high, limit >> bits
}

// full is the error of a tenant without room for one more key. It says when the
// oldest key of the part is forgotten.
func (c *Call) full(ctx context.Context, tx store.Tx, low, high []byte) error {
	var oldest sql.NullInt64
	err := tx.QueryRow(ctx, `SELECT min(created_at) FROM idempotency_keys WHERE tenant = ? AND hash >= ? AND hash <= ? AND created_at > ?`,
		string(tx.Tenant()), low, high, c.keys.forgotten()).Scan(&oldest)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("idempotency: %w", err)
	}
	now := c.keys.cfg.Now()
	after := TTL
	if oldest.Valid {
		after = max(time.Second, time.UnixMicro(oldest.Int64).Add(TTL).Sub(now))
	}
	return platform.OverRate(LimitName, c.limit, after)
}
