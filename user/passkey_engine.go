package user

import "encoding/json"

// PasskeyEngine speaks WebAuthn. Package user/passkey has one. It keeps no state:
// challenges, keys and counters are kept here. It must be safe for concurrent use.
// Errors say why an answer is refused, for the log; they are not sent.
type PasskeyEngine interface {
	// Create returns the options of navigator.credentials.create, as JSON after
	// PublicKeyCredentialCreationOptionsJSON: for a discoverable key that verifies
	// its user, none of the owner's.
	Create(challenge []byte, owner PasskeyOwner) (json.RawMessage, error)
	// Created checks what the browser has answered, and returns the new key.
	Created(challenge []byte, owner PasskeyOwner, answer json.RawMessage) (PasskeyKey, error)
	// Get returns the options of navigator.credentials.get, for one of the keys, or
	// for any where allowed is nil.
	Get(challenge []byte, allowed [][]byte) (json.RawMessage, error)
	// Read returns what an answer claims. It proves nothing.
	Read(answer json.RawMessage) (PasskeyClaim, error)
	// Got checks an answer that the key of the owner has signed, with its user
	// verified, and returns the key with its counter and its backup state as they
	// are now. It refuses a counter that went back and a changed BackupEligible.
	Got(challenge []byte, owner PasskeyOwner, key PasskeyKey, answer json.RawMessage) (PasskeyKey, error)
}

// PasskeyOwner is a person as authenticators know them.
type PasskeyOwner struct {
	// Handle is the id of the user: authenticators keep it and answer with it.
	Handle      []byte
	Email, Name string
	// Keys are the ids of the keys that the person has.
	Keys [][]byte
}

// PasskeyKey is what is kept of a passkey.
type PasskeyKey struct {
	ID        []byte
	PublicKey []byte // COSE
	AAGUID    []byte // the model of the authenticator
	// SignCount grows with each use, or is always 0.
	SignCount uint32
	// BackupEligible says that the key may be synchronized between devices, which
	// never changes, and BackedUp that it is.
	BackupEligible, BackedUp bool
}

// PasskeyClaim is what the answer of a browser says of itself.
type PasskeyClaim struct {
	Challenge []byte
	ID        []byte // of the key
	Handle    []byte // of the user; empty where the browser sends none
}
