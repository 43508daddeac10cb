package user

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// Joining is what a person without an account gives to accept an invitation.
type Joining struct {
	// Token is that of the mail. It proves the address.
	Token Secret
	Name  string
	// Password may be empty: the account then has none, until its owner sets
	// one by a reset.
	Password Secret
	// Session is how the client holds the session; "" is in tokens.
	Session SessionKind
}

// JoinByInvitation makes the account of an invited person, with the invited
// address verified, the membership and a session in the organization, in one
// transaction. The person gets no organization of their own. It signs nobody in
// who has an account: that takes what the account asks for, and the error is of
// KindConflict "sign_in_first". An idempotency key belongs to the invitation: a
// second call with it and the same input returns the first tokens. Other errors:
// those of [Service.AcceptInvitation], KindInvalid.
func (s *Service) JoinByInvitation(ctx context.Context, in Joining, keys ...*platform.IdempotencyKey) (SignedIn, error) {
	o, err := s.offerOf(ctx, in.Token)
	if err != nil {
		return SignedIn{}, err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), platform.Principal{Subject: o.id}, "auth.invitation",
		[]string{string(in.Token), in.Name, string(in.Password), string(in.Session)})
	if err != nil {
		return SignedIn{}, err
	}
	var out keptSignedIn
	if kept, err := s.joinedBefore(ctx, call, o, &out); err != nil || kept {
		return out.signedIn(), err
	}
	j, err := s.joining(ctx, o, in)
	if err != nil {
		if kept, _ := s.joinedBefore(ctx, call, o, &out); kept { // by a call with the key, meanwhile
			return out.signedIn(), nil
		}
		return SignedIn{}, err
	}
	key, err := s.keys.signer(ctx)
	if err != nil {
		return SignedIn{}, err
	}
	limits, err := s.cfg.Limits.Of(ctx, o.tenant)
	if err != nil {
		return SignedIn{}, err
	}
	err = s.db.InTenant(ctx, o.tenant, func(ctx context.Context, tx store.Tx) error {
		return call.Do(ctx, tx, &out, func() error {
			entered, err := s.join(ctx, tx, o, j, limits.Members)
			if err != nil {
				return err
			}
			in, err := s.welcome(key, entered)
			out = keepSignedIn(in)
			return err
		})
	})
	if err != nil {
		return SignedIn{}, err
	}
	return out.signedIn(), nil
}

// joinedBefore reads the answer of an earlier call with the key. It is asked
// before the input is judged: what was right then has no account to refuse now.
func (s *Service) joinedBefore(ctx context.Context, call *idempotency.Call, o offer, out *keptSignedIn) (kept bool, err error) {
	if kept, err = call.Kept(ctx, o.tenant); err != nil || !kept {
		return false, err
	}
	err = s.db.InTenant(ctx, o.tenant, func(ctx context.Context, tx store.Tx) error {
		kept, err = call.Begin(ctx, tx, out)
		return err
	})
	return kept, err
}

// joiner is a person who joins, checked and in its normal form.
type joiner struct {
	user User
	hash string // "" is no password
	kind SessionKind
}

// joining checks what a person gives. It hashes a password only for an
// invitation that can be used, so that strangers cannot make it hash.
func (s *Service) joining(ctx context.Context, o offer, in Joining) (joiner, error) {
	now := fromMicros(micros(s.now()))
	var inv Invitation
	err := s.db.InTenant(ctx, o.tenant, func(ctx context.Context, tx store.Tx) error {
		var (
			ended error
			err   error
		)
		if inv, ended, err = invitationByID(ctx, tx, o, now); err != nil || ended != nil {
			return firstError(err, ended)
		}
		known, err := hasAccount(ctx, tx, inv.Email)
		if err == nil && known {
			err = errSignInFirst()
		}
		return err
	}, store.ReadOnly)
	if err != nil {
		return joiner{}, err
	}
	var fields []platform.Field
	name, ok := cleanName(in.Name)
	if !ok {
		fields = append(fields, nameField("/name"))
	}
	password := normalizePassword(in.Password)
	if password != "" {
		if f, err := s.checkPassword(ctx, password, inv.Email); err != nil {
			return joiner{}, err
		} else if f != nil {
			fields = append(fields, *f)
		}
	}
	if fields != nil {
		return joiner{}, platform.Invalid(fields...)
	}
	j := joiner{user: User{ID: s.newID("usr"), Email: inv.Email, Name: name, CreatedAt: now, UpdatedAt: now, EmailVerifiedAt: now}, kind: in.Session}
	if password != "" {
		j.hash, err = s.passwords.hash(ctx, "", password)
	}
	return j, err
}

func errSignInFirst() error {
	return platform.Errorf(platform.KindConflict, "sign_in_first", "the invited address has an account: sign in to it, then accept the invitation")
}

// join makes the account, the membership and the session.
func (s *Service) join(ctx context.Context, tx store.Tx, o offer, j joiner, members int64) (entry, error) {
	made, err := s.insertInvited(ctx, tx, j)
	if err != nil {
		return entry{}, err
	}
	if !made { // another use of the token was faster, or the address has signed up meanwhile
		_, ended, err := invitationByID(ctx, tx, o, s.now())
		return entry{}, firstError(err, ended, errSignInFirst())
	}
	if _, err := s.accept(ctx, tx, o, acceptance{user: j.user, by: platform.Principal{Subject: j.user.ID, Kind: platform.PrincipalUser}, members: members}); err != nil {
		return entry{}, err
	}
	entered, err := s.enter(ctx, tx, o.tenant, arrival{user: j.user.ID, signIn: s.byInvitation(), kind: j.kind})
	if err != nil {
		return entry{}, err
	}
	if err := s.record(ctx, tx, o.tenant, byUser(j.user.ID, entered.session), "user.signed_up", j.user.ID, nil); err != nil {
		return entry{}, err
	}
	return entered, s.emit(ctx, tx, o.tenant, "user.signed_up", j.user.ID, byPerson(j.user.ID), signedUpEvent{
		UserID: j.user.ID, Email: j.user.Email, Name: j.user.Name, Organization: string(o.tenant),
	})
}

// insertInvited makes the account of an invited person; made is false where the
// address has one.
func (s *Service) insertInvited(ctx context.Context, tx store.Tx, j joiner) (made bool, err error) {
	now := micros(j.user.CreatedAt)
	if known, err := hasAccount(ctx, tx, j.user.Email); err != nil || known {
		return false, err
	}
	made, err = changedOne(ctx, tx, `INSERT INTO user_accounts (id, email, name, status, created_at, updated_at, email_verified_at)
		VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (email) DO NOTHING`, j.user.ID, j.user.Email, j.user.Name, string(Active), now, now, now)
	if err != nil || !made || j.hash == "" {
		return made, err
	}
	_, err = tx.Exec(ctx, `INSERT INTO user_passwords (user_id, hash, changed_at) VALUES (?, ?, ?)`, j.user.ID, j.hash, now)
	return true, err
}

// byInvitation is a sign-in that read a mail now: one secret that works once.
func (s *Service) byInvitation() signIn { return signIn{at: s.now(), methods: []string{methodOTP}} }
