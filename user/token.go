package user

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/acme/platform"
)

// Tokens are what a signed-in client holds.
type Tokens struct {
	// Access is a JWT (RFC 9068) that names one organization, or none. It is
	// sent with every request.
	Access Secret
	// Refresh buys new tokens once; the answer holds its successor.
	Refresh Secret
	// ExpiresIn is how long Access is valid.
	ExpiresIn time.Duration
	// Organization is the one that Access names; "" is none.
	Organization platform.TenantID
	// Session is the id of the session that both belong to: of the device, in
	// whatever organization.
	Session string
}

// tokenType is the media type of RFC 9068, which keeps an ID token or any
// other JWT of the issuer from passing as an access token.
const tokenType = "at+jwt"

// maxToken bounds what is parsed at all, in bytes. Ours have some 600.
const maxToken = 4096

// claims are those of an access token. Roles are not among them: they are read
// from the membership, so that losing one acts before the token ends.
type claims struct {
	Issuer    string `json:"iss"`
	Audience  string `json:"aud"`
	Subject   string `json:"sub"`
	Org       string `json:"org,omitempty"` // absent for a person without organization
	Session   string `json:"sid"`
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf"`
	Expires   int64  `json:"exp"`
	ID        string `json:"jti"`
	// AuthTime and Methods tell of the sign-in (RFC 9068, section 2.2.1): a
	// refresh changes neither.
	AuthTime int64    `json:"auth_time,omitempty"`
	Methods  []string `json:"amr,omitempty"`
}

// issueAccess signs an access token for a session.
func (s *Service) issueAccess(k signingKey, user, session string, tenant platform.TenantID, in signIn) (Secret, error) {
	now := s.now()
	c := claims{
		Issuer: s.cfg.Issuer, Audience: s.cfg.Audience, Subject: user, Org: string(named(tenant)), Session: session,
		IssuedAt: now.Unix(), NotBefore: now.Unix(), Expires: now.Add(s.cfg.AccessTTL).Unix(), ID: s.newID("tok"),
		Methods: in.methods,
	}
	if !in.at.IsZero() {
		c.AuthTime = in.at.Unix()
	}
	payload, err := json.Marshal(c)
	if err != nil { // strings and numbers always marshal
		return "", err
	}
	jws, err := k.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("user: sign: %w", err)
	}
	token, err := jws.CompactSerialize()
	return Secret(token), err
}

// parseAccess returns the claims of a token that is ours and valid now. The
// rules are those of RFC 8725: the one algorithm of the key, one type, a key that we
// know by its id and that the token cannot bring along.
func (s *Service) parseAccess(ctx context.Context, token string) (claims, error) {
	var c claims
	if len(token) > maxToken {
		return c, errBadCredential()
	}
	jws, err := jose.ParseSignedCompact(token, s.keys.algorithms)
	if err != nil || len(jws.Signatures) != 1 {
		return c, errBadCredential()
	}
	h := jws.Signatures[0].Protected
	if h.KeyID == "" || h.JSONWebKey != nil || len(h.ExtraHeaders) != 1 || h.ExtraHeaders[jose.HeaderType] != tokenType {
		return c, errBadCredential()
	}
	key, err := s.keys.verifier(ctx, h.KeyID)
	if err != nil {
		return c, err
	}
	if key == nil || h.Algorithm != string(key.algorithm) {
		return c, errBadCredential()
	}
	payload, err := jws.Verify(key.public)
	if err != nil {
		return c, errBadCredential()
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return c, errBadCredential()
	}
	now, skew := s.now().Unix(), int64(clockSkew/time.Second)
	if c.Issuer != s.cfg.Issuer || c.Audience != s.cfg.Audience || c.Subject == "" || c.Session == "" ||
		c.Org != "" && platform.TenantID(c.Org).Validate() != nil ||
		c.Expires <= now || c.NotBefore > now+skew || c.IssuedAt > now+skew {
		return c, errBadCredential()
	}
	return c, nil
}
