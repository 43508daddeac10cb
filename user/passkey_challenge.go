package user

import (
	"context"
	"encoding/json"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// A challenge is a sealed note of what it is for: nothing is stored when one is
// asked for, so strangers who ask fill nothing. What is stored is that it was
// spent, before the answer is looked at: of two answers to one challenge the
// second is refused, whatever came of the first.

// passkeyUse is what a challenge is for.
type passkeyUse string

const (
	passkeySignIn passkeyUse = "sign_in" // by anybody
	passkeyAdd    passkeyUse = "add"     // by the holder: a session or a half-done sign-in
	passkeyShow   passkeyUse = "show"    // the same
)

// challengeFor is how long a browser may take.
const challengeFor = 5 * time.Minute

// challengeNote is what a challenge says. Nonce makes it unique.
type challengeNote struct {
	Use     passkeyUse `json:"u"`
	Holder  string     `json:"h"`
	Expires int64      `json:"e"` // µs
	Nonce   []byte     `json:"n"`
}

var challengeCell = store.Cell{Tenant: platform.NoTenant, Table: "user_challenges", Column: "challenge", Row: "note"}

func (s *Service) newChallenge(ctx context.Context, use passkeyUse, holder string) ([]byte, error) {
	note, err := json.Marshal(challengeNote{use, holder, micros(s.now().Add(challengeFor)), randomBytes()[:16]})
	if err != nil { // it always marshals
		return nil, err
	}
	return s.cfg.Sealer.Seal(ctx, challengeCell, note)
}

// spendChallenge refuses a challenge that was not made here for this use and
// holder, has expired or was spent.
func (s *Service) spendChallenge(ctx context.Context, challenge []byte, use passkeyUse, holder string) error {
	raw, err := s.cfg.Sealer.Open(ctx, challengeCell, challenge)
	if err != nil {
		return errBadFactor() // invented
	}
	var note challengeNote
	if err := json.Unmarshal(raw, &note); err != nil {
		return errBadFactor()
	}
	first := false
	err = s.db.AcrossTenants(ctx, s.cross.factors, func(ctx context.Context, tx store.CrossTx) error {
		first, err = changedOne(ctx, tx, `INSERT INTO user_challenges (hash, expires_at) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING`,
			hashSecret(challenge), note.Expires)
		return err
	}, store.Reserved)
	if err != nil {
		return err
	}
	if !first || note.Use != use || note.Holder != holder || micros(s.now()) >= note.Expires {
		return errBadFactor()
	}
	return nil
}
