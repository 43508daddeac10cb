package user

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// A Secret hides itself from JSON. What is kept for a second call is sealed, so
// the answers that hold secrets have forms of their own for that.

type keptKey struct {
	Key        APIKey
	Credential string
}

type keptInvitation struct {
	Invitation Invitation
	Token      string
}

type keptSignedIn struct {
	User            string
	Access, Refresh string
	ExpiresIn       time.Duration
	Organization    platform.TenantID
	Session         string
	Cookie          *keptCookie
	Pending         *PendingSignIn
	PendingToken    string // of Pending, which hides it
}

type keptCookie struct {
	Name, Value string
	Ends        time.Time
}

func keepSignedIn(in SignedIn) keptSignedIn {
	t := in.Tokens
	kept := keptSignedIn{
		User: in.UserID, Access: string(t.Access), Refresh: string(t.Refresh), ExpiresIn: t.ExpiresIn, Organization: t.Organization, Session: t.Session,
	}
	if c := in.Cookie; c != nil {
		kept.Cookie = &keptCookie{c.Name, string(c.Value), c.Ends}
	}
	if p := in.Pending; p != nil {
		kept.Pending, kept.PendingToken = p, string(p.Token)
	}
	return kept
}

func (k keptSignedIn) signedIn() SignedIn {
	in := SignedIn{UserID: k.User, Tokens: Tokens{
		Access: Secret(k.Access), Refresh: Secret(k.Refresh), ExpiresIn: k.ExpiresIn, Organization: k.Organization, Session: k.Session,
	}}
	if c := k.Cookie; c != nil {
		in.Cookie = &Cookie{c.Name, Secret(c.Value), c.Ends}
	}
	if k.Pending != nil {
		pending := *k.Pending
		pending.Token = Secret(k.PendingToken)
		if string(pending.Passkey) == "null" { // what JSON makes of none
			pending.Passkey = nil
		}
		in.Pending = &pending
	}
	return in
}

type keptSignUp struct {
	User         User
	Organization Organization
	SignedIn     keptSignedIn
}

type keptMember struct {
	Member       Member
	Organization platform.TenantID
}

// A sign-up and a new organization make the tenant that their answer is kept in,
// so a second call looks for it among those of the user.

// maker is who makes a tenant: a user, by id or, in a sign-up, by address.
type maker struct{ id, email string }

// madeBy returns the tenant that keeps the answer of an earlier call of the
// user, "" without one, and how many organizations the user has made; a user who
// is not there yet has made none. It does not read a snapshot: that may lack what
// has already kept another call from its effect.
func (s *Service) madeBy(ctx context.Context, call *idempotency.Call, by maker) (tenant platform.TenantID, made int64, err error) {
	err = s.db.AcrossTenants(ctx, s.cross.repeated, func(ctx context.Context, tx store.CrossTx) error {
		column, value := "id", by.id
		if by.email != "" {
			column, value = "email", by.email
		}
		var id string
		err := tx.QueryRow(ctx, `SELECT id, organizations_created FROM user_accounts WHERE `+column+` = ?`, value).Scan(&id, &made)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		tenants, err := queryAll(ctx, tx, func(row scanner) (t platform.TenantID, err error) { return t, row.Scan(&t) },
			`SELECT tenant FROM user_memberships WHERE user_id = ? ORDER BY created_at DESC LIMIT ?`, id, maxOwn)
		if err != nil {
			return err
		}
		tenant, err = call.TenantOf(ctx, tx, tenants)
		return err
	}, store.Reserved)
	return tenant, made, err
}

// maxOwn bounds the organizations of a user that are looked at, the newest first.
const maxOwn = 500

// errMadeMeanwhile is why a new organization is not made: the user has made
// another one since it was looked whether this one was.
var errMadeMeanwhile = errors.New("user: an organization was made meanwhile")

// signedUp returns the answer of an earlier sign-up with the key.
func (s *Service) signedUp(ctx context.Context, call *idempotency.Call, email string) (out SignedUp, found bool, err error) {
	if call == nil {
		return SignedUp{}, false, nil
	}
	tenant, _, err := s.madeBy(ctx, call, maker{email: email})
	if err != nil || tenant == "" {
		return SignedUp{}, false, err
	}
	var kept keptSignUp
	err = s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		found, err = call.Begin(ctx, tx, &kept)
		return err
	})
	return SignedUp{User: kept.User, Organization: kept.Organization, SignedIn: kept.SignedIn.signedIn()}, found, err
}
