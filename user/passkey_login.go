package user

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/acme/platform"
)

// PasskeyLogIn is what a person gives to sign in with a passkey alone.
type PasskeyLogIn struct {
	// Answer is what the browser's navigator.credentials.get has answered.
	Answer json.RawMessage
	// Organization is as in [LogIn].
	Organization platform.TenantID
	// Session is how the client holds the session; empty is [TokenSession].
	Session SessionKind
}

// PasskeyLogInOptions begins a sign-in with a passkey: it returns what the
// browser's navigator.credentials.get takes. It is the same for everybody, and
// nothing is stored.
func (s *Service) PasskeyLogInOptions(ctx context.Context) (json.RawMessage, error) {
	return s.passkeyOptions(ctx, passkeySignIn, "", "")
}

// LogInWithPasskey opens a session for the owner of a passkey, without an address
// or a password. The authenticator has verified its user, so the session has two
// factors. The error is of [platform.KindUnauthenticated] for an answer to another
// challenge, of another page, of a passkey that is unknown or has been copied.
func (s *Service) LogInWithPasskey(ctx context.Context, in PasskeyLogIn) (SignedIn, error) {
	shown, owner, err := s.checkPasskey(ctx, passkeySignIn, "", "", in.Answer)
	if err != nil {
		var e *platform.Error
		if owner != "" && errors.As(err, &e) && e.Kind == platform.KindUnauthenticated {
			s.noteFailure(ctx, owner, in.Organization)
		}
		return SignedIn{}, err
	}
	a := arrival{user: owner, wanted: in.Organization, kind: in.Session, signIn: signIn{}.with(s.now(), shown.methods...)}
	return s.admit(ctx, a, func(ctx context.Context, tx writer) error { return shown.spend(ctx, tx) })
}
