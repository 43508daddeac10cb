// Package passkey speaks WebAuthn for package user: it is what a host gives as
// user.Config.Passkeys. It is a package of its own because of its dependencies: a
// host without passkeys does not compile it.
//
//	passkeys, err := passkey.New(passkey.Config{
//		ID: "example.com", Origins: []string{"https://app.example.com"}, Name: "Acme",
//	})
//
// Passkeys are discoverable and verify their user (a fingerprint, a PIN), so that
// one alone is a sign-in with two factors. No attestation is asked for: who makes
// the authenticator is the person's choice.
package passkey

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/acme/platform/user"
)

// Config says for whom passkeys are. All of it must be set.
type Config struct {
	// ID is the relying party id: a domain, without scheme and port, that is the
	// host of all Origins or a parent of it. A passkey works under this id alone:
	// one that is changed later makes all passkeys useless.
	ID string
	// Origins are the pages that may use passkeys, as "https://app.example.com". No
	// other page's answers are taken. Plain http is for localhost.
	Origins []string
	// Name is what authenticators show.
	Name string
}

// Engine implements [user.PasskeyEngine]. It is safe for concurrent use.
type Engine struct{ web *webauthn.WebAuthn }

var _ user.PasskeyEngine = (*Engine)(nil)

// New makes an engine. The error says what of the Config is wrong.
func New(cfg Config) (*Engine, error) {
	if cfg.Name == "" || len(cfg.Origins) == 0 {
		return nil, errors.New("passkey: Config.Name and Config.Origins must be set")
	}
	required := true
	web, err := webauthn.New(&webauthn.Config{
		RPID: cfg.ID, RPDisplayName: cfg.Name, RPOrigins: cfg.Origins,
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			RequireResidentKey: &required, ResidentKey: protocol.ResidentKeyRequirementRequired,
			UserVerification: protocol.VerificationRequired,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return &Engine{web}, nil
}

// Create implements [user.PasskeyEngine].
func (e *Engine) Create(challenge []byte, owner user.PasskeyOwner) (json.RawMessage, error) {
	options, _, err := e.web.BeginRegistration(person{owner: owner}, webauthn.WithExclusions(descriptors(owner.Keys)))
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	options.Response.Challenge = challenge
	return json.Marshal(options.Response)
}

// Created implements [user.PasskeyEngine].
func (e *Engine) Created(challenge []byte, owner user.PasskeyOwner, answer json.RawMessage) (user.PasskeyKey, error) {
	parsed, err := protocol.ParseCredentialCreationResponseBytes(answer)
	if err != nil {
		return user.PasskeyKey{}, cause(err)
	}
	session := e.session(challenge)
	session.UserID, session.CredParams = owner.Handle, webauthn.CredentialParametersDefault()
	made, err := e.web.CreateCredential(person{owner: owner}, session, parsed)
	if err != nil {
		return user.PasskeyKey{}, cause(err)
	}
	return keyOf(made), nil
}

// Get implements [user.PasskeyEngine].
func (e *Engine) Get(challenge []byte, allowed [][]byte) (json.RawMessage, error) {
	options := []webauthn.LoginOption{webauthn.WithChallenge(challenge)}
	if allowed != nil {
		options = append(options, webauthn.WithAllowedCredentials(descriptors(allowed)))
	}
	assertion, _, err := e.web.BeginDiscoverableLogin(options...)
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return json.Marshal(assertion.Response)
}

// Read implements [user.PasskeyEngine].
func (e *Engine) Read(answer json.RawMessage) (user.PasskeyClaim, error) {
	var raw struct {
		ID       string `json:"rawId"`
		Response struct {
			ClientData string `json:"clientDataJSON"`
			Handle     string `json:"userHandle"`
		} `json:"response"`
	}
	if err := json.Unmarshal(answer, &raw); err != nil {
		return user.PasskeyClaim{}, fmt.Errorf("passkey: %w", err)
	}
	data, err := decode(raw.Response.ClientData)
	if err != nil {
		return user.PasskeyClaim{}, err
	}
	var client struct {
		Challenge string `json:"challenge"`
	}
	if err := json.Unmarshal(data, &client); err != nil {
		return user.PasskeyClaim{}, fmt.Errorf("passkey: %w", err)
	}
	var claim user.PasskeyClaim
	var errs [3]error
	claim.Challenge, errs[0] = decode(client.Challenge)
	claim.ID, errs[1] = decode(raw.ID)
	claim.Handle, errs[2] = decode(raw.Response.Handle)
	return claim, errors.Join(errs[:]...)
}

// Got implements [user.PasskeyEngine].
func (e *Engine) Got(challenge []byte, owner user.PasskeyOwner, key user.PasskeyKey, answer json.RawMessage) (user.PasskeyKey, error) {
	parsed, err := protocol.ParseCredentialRequestResponseBytes(answer)
	if err != nil {
		return user.PasskeyKey{}, cause(err)
	}
	session := e.session(challenge)
	session.UserID = owner.Handle
	stored := webauthn.Credential{
		ID: key.ID, PublicKey: key.PublicKey,
		Flags:         webauthn.CredentialFlags{BackupEligible: key.BackupEligible, BackupState: key.BackedUp},
		Authenticator: webauthn.Authenticator{AAGUID: key.AAGUID, SignCount: key.SignCount},
	}
	used, err := e.web.ValidateLogin(person{owner, []webauthn.Credential{stored}}, session, parsed)
	if err != nil {
		return user.PasskeyKey{}, cause(err)
	}
	if used.Authenticator.CloneWarning {
		return user.PasskeyKey{}, errors.New("passkey: the signature counter went back: there may be a copy of the key")
	}
	if !bytes.Equal(used.ID, key.ID) {
		return user.PasskeyKey{}, errors.New("passkey: another key has answered")
	}
	return keyOf(used), nil
}

// session is what an answer must fit.
func (e *Engine) session(challenge []byte) webauthn.SessionData {
	return webauthn.SessionData{
		Challenge: protocol.URLEncodedBase64(challenge).String(), RelyingPartyID: e.web.Config.RPID,
		UserVerification: protocol.VerificationRequired,
	}
}

func keyOf(c *webauthn.Credential) user.PasskeyKey {
	return user.PasskeyKey{
		ID: c.ID, PublicKey: c.PublicKey, AAGUID: c.Authenticator.AAGUID, SignCount: c.Authenticator.SignCount,
		BackupEligible: c.Flags.BackupEligible, BackedUp: c.Flags.BackupState,
	}
}

func descriptors(ids [][]byte) []protocol.CredentialDescriptor {
	all := make([]protocol.CredentialDescriptor, len(ids))
	for i, id := range ids {
		all[i] = protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: id}
	}
	return all
}

// cause keeps the library's explanation, which is apart from its text.
func cause(err error) error {
	var e *protocol.Error
	if errors.As(err, &e) {
		return fmt.Errorf("passkey: %s: %s", e.Details, e.DevInfo)
	}
	return fmt.Errorf("passkey: %w", err)
}

func decode(text string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return raw, nil
}

// person is an owner as the library knows one.
type person struct {
	owner user.PasskeyOwner
	keys  []webauthn.Credential
}

func (p person) WebAuthnID() []byte                         { return p.owner.Handle }
func (p person) WebAuthnName() string                       { return p.owner.Email }
func (p person) WebAuthnDisplayName() string                { return p.owner.Name }
func (p person) WebAuthnCredentials() []webauthn.Credential { return p.keys }
