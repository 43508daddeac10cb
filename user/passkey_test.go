package user_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/descope/virtualwebauthn"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
	"github.com/acme/platform/user/passkey"
)

// page is what the tests' passkeys are for.
var page = virtualwebauthn.RelyingParty{ID: "example.com", Name: "Acme", Origin: "https://app.example.com"}

func withPasskeys(c *user.Config) {
	engine, err := passkey.New(passkey.Config{ID: page.ID, Origins: []string{page.Origin}, Name: page.Name})
	if err != nil {
		panic(err)
	}
	c.Passkeys = engine
}

// device is an authenticator with one key.
type device struct {
	virtualwebauthn.Authenticator
	key virtualwebauthn.Credential
}

func newDevice(owner string, change ...func(*virtualwebauthn.AuthenticatorOptions)) *device {
	options := virtualwebauthn.AuthenticatorOptions{UserHandle: []byte(owner), BackupEligible: true, BackupState: true}
	for _, f := range change {
		f(&options)
	}
	return &device{virtualwebauthn.NewAuthenticatorWithOptions(options), newKey()}
}

// newKey makes a key whose coordinates both have 32 bytes: those of one in 128 are
// shorter, and virtualwebauthn does not fill them up, so that no such key verifies.
func newKey() virtualwebauthn.Credential {
	const whole = 77 // bytes of the COSE key
	for {
		if key := virtualwebauthn.NewCredential(virtualwebauthn.KeyTypeEC2); len(key.Key.AttestationData()) == whole {
			return key
		}
	}
}

// made is the answer to options of a new key, on a page.
func (d *device) made(tb testing.TB, at virtualwebauthn.RelyingParty, options json.RawMessage) json.RawMessage {
	tb.Helper()
	parsed, err := virtualwebauthn.ParseAttestationOptions(string(options))
	noError(tb, err)
	d.AddCredential(d.key)
	return json.RawMessage(virtualwebauthn.CreateAttestationResponse(at, d.Authenticator, d.key, *parsed))
}

// shown is the answer to options of a sign-in, on a page. The key counts.
func (d *device) shown(tb testing.TB, at virtualwebauthn.RelyingParty, options json.RawMessage) json.RawMessage {
	tb.Helper()
	parsed, err := virtualwebauthn.ParseAssertionOptions(string(options))
	noError(tb, err)
	d.key.Counter++
	return json.RawMessage(virtualwebauthn.CreateAssertionResponse(at, d.Authenticator, d.key, *parsed))
}

// addPasskey gives a person a passkey.
func (b *bundle) addPasskey(tb testing.TB, p platform.Principal, d *device) (user.Passkey, []user.Secret) {
	tb.Helper()
	options, err := b.PasskeyOptions(tb.Context(), p)
	noError(tb, err)
	added, codes, err := b.AddPasskey(tb.Context(), p, "Laptop", d.made(tb, page, options))
	noError(tb, err)
	return added, codes
}

// withPasskey signs in with a passkey alone.
func (b *bundle) withPasskey(tb testing.TB, d *device) user.SignedIn {
	tb.Helper()
	options, err := b.PasskeyLogInOptions(tb.Context())
	noError(tb, err)
	in, err := b.LogInWithPasskey(tb.Context(), user.PasskeyLogIn{Answer: d.shown(tb, page, options)})
	noError(tb, err)
	return in
}

// A passkey alone is a sign-in with two factors; beside a password it is the second
// one. Several have names of their own.
func TestPasskeySignsIn(t *testing.T) {
	b := open(t, withPasskeys)
	ann := b.signUp(t, "ann@example.com")
	laptop := newDevice(ann.User.ID)
	key := newDevice(ann.User.ID, func(o *virtualwebauthn.AuthenticatorOptions) { o.BackupEligible, o.BackupState = false, false })
	added, codes := b.addPasskey(t, ann.p, laptop)
	if added.Name != "Laptop" || !added.Synchronized || len(codes) != 10 {
		t.Errorf("added %+v with %d codes", added, len(codes))
	}
	in := b.withPasskey(t, laptop)
	p := b.verify(t, in.Access)
	if in.Pending != nil || !slices.Equal(p.Methods, []string{"mfa", "swk"}) || !p.SignedInAt.Equal(b.clock.Now()) || p.Subject != ann.User.ID {
		t.Errorf("signed in as %s by %v", p, p.Methods)
	}
	second, codes := b.addPasskey(t, p, key)
	if codes != nil || second.Synchronized {
		t.Errorf("added %+v with %d codes", second, len(codes))
	}
	if p := b.verify(t, b.withPasskey(t, key).Access); !slices.Equal(p.Methods, []string{"hwk", "mfa"}) {
		t.Errorf("signed in by %v", p.Methods)
	}

	pending := b.half(t, "ann@example.com", "")
	if !slices.Equal(pending.Methods, []user.FactorKind{user.FactorPasskey, user.FactorRecoveryCode}) || pending.Passkey != nil {
		t.Errorf("got %+v", pending)
	}
	options, err := b.FactorOptions(t.Context(), pending.Token)
	noError(t, err)
	in, err = b.VerifyFactor(t.Context(), pending.Token, user.FactorProof{Passkey: key.shown(t, page, options.Passkey)})
	noError(t, err)
	if p := b.verify(t, in.Access); !slices.Equal(p.Methods, []string{"hwk", "mfa", "pwd"}) {
		t.Errorf("signed in by %v", p.Methods)
	}

	renamed, err := b.RenamePasskey(t.Context(), p, second.ID, "Key")
	noError(t, err)
	all, err := b.Passkeys(t.Context(), p)
	noError(t, err)
	if len(all) != 2 || all[1].Name != "Key" || all[1].LastUsedAt.IsZero() || renamed.ID != second.ID {
		t.Errorf("passkeys %+v", all)
	}
	noError(t, b.RemovePasskey(t.Context(), p, second.ID))
	want(t, b.RemovePasskey(t.Context(), p, second.ID), platform.KindNotFound, "")
	login, err := b.PasskeyLogInOptions(t.Context())
	noError(t, err)
	_, err = b.LogInWithPasskey(t.Context(), user.PasskeyLogIn{Answer: key.shown(t, page, login)})
	want(t, err, platform.KindUnauthenticated, "invalid_factor")
	noError(t, b.RemovePasskey(t.Context(), p, added.ID)) // there is a password
	if n := b.count(t, "user_recovery_codes"); n != 0 {
		t.Errorf("%d recovery codes are left", n)
	}
}

// Answers for another page, relying party, challenge, use, person or key are
// refused, and so are a second answer to a challenge, a counter that went back,
// backup flags that change, and a user who was not verified.
func TestPasskeyAnswersAreChecked(t *testing.T) {
	b := open(t, withPasskeys)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	annDevice, benDevice := newDevice(ann.User.ID), newDevice(ben.User.ID)
	b.addPasskey(t, ann.p, annDevice)
	b.addPasskey(t, ben.p, benDevice)
	at := func(id, origin string) virtualwebauthn.RelyingParty {
		return virtualwebauthn.RelyingParty{ID: id, Name: page.Name, Origin: origin}
	}
	options := func() json.RawMessage {
		o, err := b.PasskeyLogInOptions(t.Context())
		noError(t, err)
		return o
	}
	refused := func(what string, answer json.RawMessage) {
		t.Helper()
		_, err := b.LogInWithPasskey(t.Context(), user.PasskeyLogIn{Answer: answer})
		if err == nil {
			t.Errorf("%s: no error", what)
		}
		want(t, err, platform.KindUnauthenticated, "invalid_factor")
	}
	refused("another origin", annDevice.shown(t, at(page.ID, "https://evil.example.net"), options()))
	refused("another origin of the domain", annDevice.shown(t, at(page.ID, "https://other.example.com"), options()))
	refused("plain http", annDevice.shown(t, at(page.ID, "http://app.example.com"), options()))
	refused("another relying party", annDevice.shown(t, at("example.net", page.Origin), options()))
	refused("an invented challenge", annDevice.shown(t, page, replaceChallenge(t, options(), "aW52ZW50ZWQtaW52ZW50ZWQtaW52ZW50ZWQ")))
	refused("nothing", nil)
	refused("an array", json.RawMessage(`[]`))

	// A challenge is spent by whatever answer comes first.
	o := options()
	refused("a bad answer", annDevice.shown(t, at(page.ID, "https://evil.example.net"), o))
	refused("a good answer after a bad one", annDevice.shown(t, page, o))
	o = options()
	answer := annDevice.shown(t, page, o)
	_, err := b.LogInWithPasskey(t.Context(), user.PasskeyLogIn{Answer: answer})
	noError(t, err)
	refused("a replayed answer", answer)
	o = options()
	b.clock.Advance(5 * time.Minute)
	refused("an old challenge", annDevice.shown(t, page, o))
	if n := b.count(t, "user_challenges"); n > 12 {
		t.Errorf("%d challenges are stored", n)
	}

	// The answer of one use is none of another's.
	pending := b.half(t, "ann@example.com", "")
	factor, err := b.FactorOptions(t.Context(), pending.Token)
	noError(t, err)
	refused("a second factor as a sign-in", annDevice.shown(t, page, factor.Passkey))
	factor, err = b.FactorOptions(t.Context(), pending.Token)
	noError(t, err)
	for what, answer := range map[string]json.RawMessage{
		"a sign-in as a second factor": annDevice.shown(t, page, options()),
		"another person's key":         benDevice.shown(t, page, factor.Passkey),
	} {
		_, err = b.VerifyFactor(t.Context(), pending.Token, user.FactorProof{Passkey: answer})
		if err == nil {
			t.Errorf("%s: no error", what)
		}
		want(t, err, platform.KindUnauthenticated, "invalid_factor")
	}
	add, err := b.PasskeyOptions(t.Context(), b.verify(t, b.withPasskey(t, annDevice).Access))
	noError(t, err)
	_, _, err = b.AddPasskey(t.Context(), b.verify(t, b.withPasskey(t, benDevice).Access), "Mine", newDevice(ben.User.ID).made(t, page, add))
	want(t, err, platform.KindUnauthenticated, "invalid_factor") // another session's challenge

	// One person's key with another's handle, or another key under a known id.
	forged := &device{annDevice.Authenticator, annDevice.key}
	forged.Authenticator = newDevice(ben.User.ID).Authenticator
	refused("another person's handle", forged.shown(t, page, options()))
	other := &device{annDevice.Authenticator, newKey()}
	other.key.ID = annDevice.key.ID
	refused("another key under a known id", other.shown(t, page, options()))

	// Flags and counter.
	flagged := func(change func(*virtualwebauthn.AuthenticatorOptions)) *device {
		return &device{newDevice(ann.User.ID, change).Authenticator, annDevice.key}
	}
	refused("a user who was not verified", flagged(func(o *virtualwebauthn.AuthenticatorOptions) { o.UserNotVerified = true }).shown(t, page, options()))
	refused("a key that is not synchronized any more", flagged(func(o *virtualwebauthn.AuthenticatorOptions) { o.BackupEligible, o.BackupState = false, false }).shown(t, page, options()))
	b.withPasskey(t, annDevice)
	annDevice.key.Counter -= 3
	refused("a counter that went back", annDevice.shown(t, page, options()))
	annDevice.key.Counter += 10
	b.withPasskey(t, annDevice)

	// Another tenant.
	_, err = b.LogInWithPasskey(t.Context(), user.PasskeyLogIn{Answer: annDevice.shown(t, page, options()), Organization: ben.p.Tenant})
	want(t, err, platform.KindForbidden, "not_a_member")
	annPasskeys, err := b.Passkeys(t.Context(), ann.p)
	noError(t, err)
	bens := b.verify(t, b.withPasskey(t, benDevice).Access)
	want(t, b.RemovePasskey(t.Context(), bens, annPasskeys[0].ID), platform.KindNotFound, "")
	_, err = b.RenamePasskey(t.Context(), bens, annPasskeys[0].ID, "Mine")
	want(t, err, platform.KindNotFound, "")
	failed, _, err := b.Audit(t.Context(), ann.p, user.AuditFilter{Action: "passkey.removed"}, 10, "")
	noError(t, err)
	if len(failed) != 0 {
		t.Errorf("audit %+v", failed)
	}
}

// replaceChallenge puts another challenge into options.
func replaceChallenge(tb testing.TB, options json.RawMessage, challenge string) json.RawMessage {
	tb.Helper()
	var members map[string]json.RawMessage
	noError(tb, json.Unmarshal(options, &members))
	members["challenge"] = json.RawMessage(fmt.Sprintf("%q", challenge))
	raw, err := json.Marshal(members)
	noError(tb, err)
	return raw
}

// A new key is checked as well: page, relying party, challenge, whose it is.
func TestNewPasskeysAreChecked(t *testing.T) {
	b := open(t, withPasskeys)
	ann, ben := b.signUp(t, "ann@example.com"), b.signUp(t, "ben@example.com")
	for what, at := range map[string]virtualwebauthn.RelyingParty{
		"another origin":        {ID: page.ID, Name: page.Name, Origin: "https://evil.example.net"},
		"another relying party": {ID: "example.net", Name: page.Name, Origin: page.Origin},
	} {
		options, err := b.PasskeyOptions(t.Context(), ann.p)
		noError(t, err)
		_, _, err = b.AddPasskey(t.Context(), ann.p, "Laptop", newDevice(ann.User.ID).made(t, at, options))
		if err == nil {
			t.Errorf("%s: no error", what)
		}
		want(t, err, platform.KindUnauthenticated, "invalid_factor")
	}
	options, err := b.PasskeyOptions(t.Context(), ann.p)
	noError(t, err)
	if s := string(options); !strings.Contains(s, `"residentKey":"required"`) || !strings.Contains(s, `"userVerification":"required"`) || !strings.Contains(s, `"attestation":"none"`) {
		t.Errorf("options %s", options)
	}
	d := newDevice(ann.User.ID)
	unverified := &device{newDevice(ann.User.ID, func(o *virtualwebauthn.AuthenticatorOptions) { o.UserNotVerified = true }).Authenticator, d.key}
	_, _, err = b.AddPasskey(t.Context(), ann.p, "Laptop", unverified.made(t, page, options))
	want(t, err, platform.KindUnauthenticated, "invalid_factor")
	_, _, err = b.AddPasskey(t.Context(), ann.p, "Laptop", d.made(t, page, options))
	want(t, err, platform.KindUnauthenticated, "invalid_factor") // the challenge was spent
	b.addPasskey(t, ann.p, d)
	options, err = b.PasskeyOptions(t.Context(), ben.p)
	noError(t, err)
	_, _, err = b.AddPasskey(t.Context(), ben.p, "Laptop", d.made(t, page, options))
	want(t, err, platform.KindConflict, "passkey_exists")
	_, _, err = b.AddPasskey(t.Context(), ben.p, " ", d.made(t, page, options))
	want(t, err, platform.KindInvalid, "")
	b.clock.Advance(16 * time.Minute)
	_, err = b.PasskeyOptions(t.Context(), ben.p)
	want(t, err, platform.KindUnauthenticated, "reauthentication_required")
}

// Fifty uses at once of one answer open one session.
func TestPasskeyAnswerIsUsedOnce(t *testing.T) {
	b := open(t, withPasskeys)
	ann := b.signUp(t, "ann@example.com")
	d := newDevice(ann.User.ID)
	b.addPasskey(t, ann.p, d)
	options, err := b.PasskeyLogInOptions(t.Context())
	noError(t, err)
	answer := d.shown(t, page, options)
	before := b.count(t, "user_sessions")
	var (
		done    sync.WaitGroup
		entered atomic.Int64
	)
	for range 50 {
		done.Go(func() {
			if _, err := b.LogInWithPasskey(t.Context(), user.PasskeyLogIn{Answer: answer}); err == nil {
				entered.Add(1)
			}
		})
	}
	done.Wait()
	if opened := b.count(t, "user_sessions") - before; entered.Load() != 1 || opened != 1 {
		t.Errorf("%d signed in, %d sessions were opened", entered.Load(), opened)
	}
}

// The last passkey of a person without a password stays.
func TestLastWayInStays(t *testing.T) {
	b := open(t, withPasskeys)
	ann := b.signUp(t, "ann@example.com")
	first, second := newDevice(ann.User.ID), newDevice(ann.User.ID)
	one, _ := b.addPasskey(t, ann.p, first)
	p := b.verify(t, b.withPasskey(t, first).Access)
	two, _ := b.addPasskey(t, p, second)
	b.exec(t, `DELETE FROM user_passwords`)
	noError(t, b.RemovePasskey(t.Context(), p, one.ID))
	want(t, b.RemovePasskey(t.Context(), p, two.ID), platform.KindConflict, "last_way_in")
	b.withPasskey(t, second)
}

// An organization's policy is kept by a passkey alone, and a passkey can be the
// factor that a person adds on the way in.
func TestPasskeyKeepsThePolicy(t *testing.T) {
	b := open(t, withPasskeys)
	ann := b.signUp(t, "ann@example.com")
	b.join(t, ann.p, "ben@example.com", user.RoleMember)
	d := newDevice(ann.User.ID)
	b.addPasskey(t, ann.p, d)
	p := b.verify(t, b.withPasskey(t, d).Access)
	b.requireFactor(t, p)
	b.withPasskey(t, d)
	pending := b.half(t, "ben@example.com", ann.p.Tenant)
	begun, err := b.EnrollFactor(t.Context(), pending.Token, user.FactorPasskey)
	noError(t, err)
	ben := newDevice("")
	in, err := b.VerifyFactor(t.Context(), pending.Token, user.FactorProof{Passkey: ben.made(t, page, begun.Passkey), PasskeyName: "Phone"})
	noError(t, err)
	if p := b.verify(t, in.Access); len(in.RecoveryCodes) != 10 || !slices.Equal(p.Methods, []string{"mfa", "pwd", "swk"}) {
		t.Errorf("signed in by %v, %d codes", p.Methods, len(in.RecoveryCodes))
	}
}

// An installation without an engine has no passkeys and says so.
func TestNoPasskeys(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	for what, err := range map[string]error{
		"options": failure(b.PasskeyOptions(t.Context(), ann.p)),
		"sign-in": failure(b.LogInWithPasskey(t.Context(), user.PasskeyLogIn{Answer: json.RawMessage(`{}`)})),
		"begin":   failure(b.PasskeyLogInOptions(t.Context())),
	} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
		want(t, err, platform.KindConflict, "passkeys_not_configured")
	}
}
