package user_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/platformtest/testclock"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/store/seal"
	"github.com/acme/platform/user"
)

// header returns the algorithm and the kid of a token.
func header(t *testing.T, token user.Secret) (algorithm, kid string) {
	t.Helper()
	jws, err := jose.ParseSignedCompact(string(token), []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256, jose.RS256})
	noError(t, err)
	return jws.Signatures[0].Protected.Algorithm, jws.Signatures[0].Protected.KeyID
}

func (b *bundle) logIn(t *testing.T) user.Secret {
	t.Helper()
	in, err := b.LogIn(t.Context(), user.LogIn{Email: "ann@example.com", Password: goodPassword})
	noError(t, err)
	return in.Access
}

// Tokens of each kind of key verify, by us and by who reads the key set.
func TestSigningAlgorithms(t *testing.T) {
	for _, alg := range []string{"EdDSA", "ES256", "RS256"} {
		t.Run(alg, func(t *testing.T) {
			b := open(t, func(c *user.Config) { c.SigningAlgorithm = alg })
			ann := b.signUp(t, "ann@example.com")
			if got, _ := header(t, ann.Tokens.Access); got != alg {
				t.Errorf("signed by %s", got)
			}
			var set jose.JSONWebKeySet
			noError(t, json.Unmarshal(b.jwksBody(t), &set))
			jws, err := jose.ParseSignedCompact(string(ann.Tokens.Access), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
			noError(t, err)
			if len(set.Keys) != 1 || set.Keys[0].Algorithm != alg {
				t.Fatalf("the key set has %+v", set.Keys)
			}
			if _, err := jws.Verify(set.Keys[0]); err != nil {
				t.Errorf("by the key set: %v", err)
			}
		})
	}
	_, err := user.New(user.Config{SigningAlgorithm: "HS256"})
	if err == nil || !strings.Contains(err.Error(), "Config.SigningAlgorithm must be EdDSA, ES256 or RS256") {
		t.Errorf("got %v", err)
	}
}

// A change of the algorithm comes with the next start: the new key is published, a
// day later it signs, and what the old one signed is good until it ends. A process
// that still has the old setting neither undoes it nor refuses anything.
func TestAlgorithmChange(t *testing.T) {
	a := open(t)
	ann := a.signUp(t, "ann@example.com")
	c := a.replica(t, func(c *user.Config) { c.SigningAlgorithm = "ES256" })
	if kids, _ := c.jwks(t); len(kids) != 2 {
		t.Fatalf("%d keys are published", len(kids))
	}
	if alg, _ := header(t, c.logIn(t)); alg != "EdDSA" {
		t.Errorf("signed by %s at once", alg)
	}
	c.verify(t, ann.Tokens.Access)
	a.clock.Advance(day - time.Second)
	last := c.logIn(t)
	a.clock.Advance(2 * time.Second)
	first := c.logIn(t)
	if alg, _ := header(t, last); alg != "EdDSA" {
		t.Errorf("before its time: %s", alg)
	}
	if alg, _ := header(t, first); alg != "ES256" {
		t.Errorf("after a day: %s", alg)
	}
	for _, b := range []*bundle{a, c, a.replica(t), a.replica(t, func(c *user.Config) { c.SigningAlgorithm = "ES256" })} {
		b.verify(t, last)
		b.verify(t, first)
	}
	if n := a.count(t, "user_signing_keys"); n != 3 { // the replica with EdDSA prepares the way back, once
		t.Errorf("%d keys", n)
	}
}

// An operator's rotation under traffic: two processes sign and verify all the time,
// of which one learns of the new key by the first token alone. No verification
// fails, and the key is published before anything is signed with it.
func TestRotationFailsNoVerification(t *testing.T) {
	a := open(t)
	a.signUp(t, "ann@example.com")
	c := a.replica(t)
	operator := platform.System(platform.NoTenant, "ops")
	var (
		current atomic.Pointer[user.Secret]
		done    atomic.Bool
		all     sync.WaitGroup
		rounds  [2]atomic.Int64
	)
	use := func(b *bundle) {
		token := b.logIn(t)
		current.Store(&token)
		before := [2]int64{rounds[0].Load(), rounds[1].Load()}
		for i := range rounds { // a token is met by both before the clock goes on
			for rounds[i].Load() < before[i]+2 && !t.Failed() {
				runtime.Gosched()
			}
		}
	}
	published := map[string]bool{}
	first := a.logIn(t)
	current.Store(&first)
	for i, b := range []*bundle{a, c} {
		all.Go(func() {
			for !done.Load() {
				b.ForgetCredentials()
				if _, err := b.Verify(t.Context(), string(*current.Load())); err != nil {
					t.Errorf("process %d: %v", i, err)
					return
				}
				rounds[i].Add(1)
			}
		})
	}
	signers := map[string]bool{}
	for range 2 {
		_, err := a.RotateSigningKey(t.Context(), operator)
		noError(t, err)
		_, err = a.RotateSigningKey(t.Context(), operator) // again makes none
		noError(t, err)
		for range 25 {
			kids, _ := a.jwks(t)
			for _, kid := range kids {
				published[kid] = true
			}
			a.clock.Advance(time.Minute)
			for _, b := range []*bundle{a, c} {
				use(b)
				_, kid := header(t, *current.Load())
				signers[kid] = true
				if !published[kid] {
					t.Errorf("%s signs before it is published", kid)
				}
			}
		}
	}
	done.Store(true)
	all.Wait()
	if len(signers) != 3 {
		t.Errorf("%d keys have signed, want 3", len(signers))
	}
	if kids, _ := a.jwks(t); len(kids) != 1 {
		t.Errorf("%d keys are left", len(kids))
	}
}

// A key that is revoked verifies nothing from then on, and the next one signs at
// once; with a PubSub in other processes, too.
func TestRevokeSigningKey(t *testing.T) {
	pubsub := memory.NewPubSub()
	bus := func(c *user.Config) { c.PubSub = pubsub }
	a := open(t, bus)
	ann := a.signUp(t, "ann@example.com")
	c := a.replica(t, bus)
	c.verify(t, ann.Tokens.Access)
	operator := platform.System(platform.NoTenant, "ops")
	for _, waiting := range []bool{false, true} {
		if waiting { // one that waits takes the place
			_, err := a.RotateSigningKey(t.Context(), operator)
			noError(t, err)
		}
		token := a.logIn(t)
		c.verify(t, token)
		_, kid := header(t, token)
		noError(t, a.RevokeSigningKey(t.Context(), operator, kid))
		for name, b := range map[string]*bundle{"here": a, "elsewhere": c} {
			b.refuses(t, token, name)
			fresh := b.logIn(t)
			if _, now := header(t, fresh); now == kid {
				t.Errorf("%s: still signed by the revoked key", name)
			}
			a.verify(t, fresh)
			c.verify(t, fresh)
		}
		want(t, a.RevokeSigningKey(t.Context(), operator, kid), platform.KindNotFound, "")
		if kids, _ := a.jwks(t); len(kids) != 1 || kids[0] == kid {
			t.Errorf("published %v", kids)
		}
	}
}

// refuses waits until the news has come that ends the token.
func (b *bundle) refuses(t *testing.T, token user.Secret, where string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		_, err := b.Verify(ctx, string(token))
		if platform.KindOf(errOr(err)) == platform.KindUnauthenticated {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: a token of a revoked key is good: %v", where, err)
		}
		runtime.Gosched()
	}
}

// The routes are for operators.
func TestSigningKeysOverHTTP(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	key, secret := b.operator(t, "root")
	h := b.edge(t)
	type list struct {
		Data []struct {
			ID, Algorithm string
			CreatedBy     string    `json:"created_by"`
			ActiveAt      time.Time `json:"active_at"`
		}
	}
	before := send[list](t, h, secret, "GET", "/v1/operator/signing-keys", "", 200)
	after := send[list](t, h, secret, "POST", "/v1/operator/signing-keys/rotate", "", 200)
	if len(before.Data) != 1 || len(after.Data) != 2 || after.Data[1].CreatedBy != key.ID || after.Data[0].CreatedBy != "" ||
		!after.Data[1].ActiveAt.Equal(b.clock.Now().Add(10*time.Minute)) || after.Data[1].Algorithm != "EdDSA" {
		t.Errorf("before %+v, after %+v", before, after)
	}
	path := "/v1/operator/signing-keys/" + after.Data[0].ID
	send[object](t, h, ann.Tokens.Access, "DELETE", path, "", 403)
	if status, _ := call(t, h, secret, "DELETE", path, ""); status != http.StatusNoContent {
		t.Errorf("revoked: %d", status)
	}
	send[object](t, h, ann.Tokens.Access, "GET", "/v1/me", "", 401)
	send[object](t, h, secret, "DELETE", path, "", 404)
	_, err := b.SigningKeys(t.Context(), ann.p)
	want(t, err, platform.KindForbidden, "operator_required")
	_, err = b.RotateSigningKey(t.Context(), ann.p)
	want(t, err, platform.KindForbidden, "operator_required")
	want(t, b.RevokeSigningKey(t.Context(), ann.p, "x"), platform.KindForbidden, "operator_required")
}

// keyRows are the stored keys.
func (b *bundle) keyRows(t *testing.T) (kids []string, seeds, private [][]byte) {
	t.Helper()
	noError(t, b.db.AcrossTenants(t.Context(), testdb.Crossing(b.db), func(ctx context.Context, tx store.CrossTx) error {
		rows, err := tx.Query(ctx, `SELECT kid, seed, private_key FROM user_signing_keys ORDER BY generation`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var kid string
			var seed, key []byte
			if err := rows.Scan(&kid, &seed, &key); err != nil {
				return err
			}
			kids, seeds, private = append(kids, kid), append(seeds, seed), append(private, key)
		}
		return rows.Err()
	}))
	return kids, seeds, private
}

// under is a Config with a sealer of the keyset.
func under(t *testing.T, keys seal.Keys) func(*user.Config) {
	t.Helper()
	sealer, err := seal.New(seal.Config{Keys: keys})
	noError(t, err)
	return func(c *user.Config) { c.Sealer = sealer }
}

// The private part is in no row; a row does not open in another one's place, and
// with another keyset nothing starts: no key is made beside those that cannot be
// read.
func TestSigningKeysAreSealed(t *testing.T) {
	keys := seal.Memory("")
	b := open(t, under(t, keys))
	b.signUp(t, "ann@example.com")
	_, err := b.RotateSigningKey(t.Context(), platform.System(platform.NoTenant, "ops"))
	noError(t, err)
	_, pairs := b.LoadedKeys()
	kids, seeds, rows := b.keyRows(t)
	for i, pair := range pairs {
		private, _ := pair.(ed25519.PrivateKey)
		secret := b64.EncodeToString(private.Seed())
		if len(seeds[i]) != 0 || bytes.Contains(rows[i], private.Seed()) || bytes.Contains(rows[i], []byte(secret)) {
			t.Errorf("key %d stands in the clear", i)
		}
	}
	startFails := func(name string, change func(*user.Config)) {
		t.Helper()
		cfg := user.Config{DB: b.db, Issuer: issuer, Cache: newClockCache(b.clock), Now: b.clock.Now}
		change(&cfg)
		s, err := user.New(cfg)
		noError(t, err)
		err = s.Start(t.Context())
		if err == nil {
			_ = s.Stop(context.Background())
		}
		if platform.KindOf(errOr(err)) != platform.KindInternal {
			t.Errorf("%s: got %v", name, err)
		}
	}
	startFails("another keyset", under(t, seal.Memory("")))
	b.exec(t, `UPDATE user_signing_keys SET private_key = ? WHERE kid = ?`, rows[1], kids[0])
	startFails("a row in another one's place", under(t, keys))
	if n := b.count(t, "user_signing_keys"); n != 2 {
		t.Errorf("%d keys", n)
	}
}

// Keys from before sealing are sealed in place, and sign and verify all the time.
func TestOldSeedsAreSealed(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	_, pairs := b.LoadedKeys()
	private, _ := pairs[0].(ed25519.PrivateKey)
	b.exec(t, `UPDATE user_signing_keys SET seed = ?, private_key = NULL`, private.Seed())
	c := b.replica(t)
	c.verify(t, ann.Tokens.Access)
	_, seeds, rows := b.keyRows(t)
	if len(rows) != 1 || len(seeds[0]) != 0 || rows[0] == nil {
		t.Errorf("seeds %v, keys %d", seeds, len(rows))
	}
	c.verify(t, c.logIn(t))
	b.exec(t, `UPDATE user_signing_keys SET seed = ?, private_key = NULL`, private.Seed()[1:])
	if err := c.MaintainKeys(t.Context()); err == nil || strings.Contains(fmt.Sprint(err), string(private.Seed()[1:])) {
		t.Errorf("a seed of the wrong size: %v", err)
	}
}

// After the sealer's keyset was rotated the keys are sealed again, and the old key
// of the sealer can be retired.
func TestSigningKeysFollowTheSealer(t *testing.T) {
	keys := seal.Memory("")
	admin, err := seal.New(seal.Config{Keys: keys})
	noError(t, err)
	noError(t, admin.Start(t.Context()))
	now := testclock.At(time.Now())
	sealer, err := seal.New(seal.Config{Keys: keys, Now: now.Now})
	noError(t, err)
	b := open(t, func(c *user.Config) { c.Sealer = sealer })
	ann := b.signUp(t, "ann@example.com")
	_, err = admin.Rotate(t.Context())
	noError(t, err)
	now.Advance(2 * time.Minute)
	noError(t, b.MaintainKeys(t.Context()))
	_, _, rows := b.keyRows(t)
	if !admin.Current(rows[0]) {
		t.Error("a key is still under the old one")
	}
	all, err := admin.List(t.Context())
	noError(t, err)
	noError(t, admin.Retire(t.Context(), all[0].ID))
	b.replica(t, under(t, keys)).verify(t, ann.Tokens.Access)
}
