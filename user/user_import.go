package user

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// ImportUser is a person who had an account in another system.
type ImportUser struct {
	// ExternalID is the id there, unique over this installation and at most 200
	// bytes; "" is none.
	ExternalID string
	Email      string
	// EmailVerified says that the other system knows that mail to Email reaches the
	// person.
	EmailVerified bool
	Name          string
	// PasswordHash is the hash of the password: argon2id, argon2i or scrypt in the
	// PHC string format, bcrypt ($2a$, $2b$, $2y$), scrypt of crypt(5) ($7$), or
	// pbkdf2 with SHA-256 or SHA-512 in the PHC format, the modular crypt format or
	// Django's. "" is no password: the person signs in by other ways.
	PasswordHash Secret
}

// ImportedUser is what an import has made or found.
type ImportedUser struct {
	ID string
	// Created is false for an account that was there, which an import leaves as it
	// is.
	Created bool
}

// maxImport bounds one call of ImportUsers.
const maxImport = 1000

// maxExternalID is in bytes.
const maxExternalID = 200

// ImportUsers makes accounts of up to 1,000 people from another system, who belong
// to no organization yet. All are made or none is. The result has one entry for
// each, in their order. A person whose ExternalID or Email is known here already is
// left as they are, so that a call can be repeated, and an import never gives an
// account another password.
//
// A hash that is no hash of a known form, or whose cost is beyond what this
// installation computes, is [platform.KindInvalid] with the code "format" or "cost"
// for its field, such as "/3/password_hash"; nothing is computed to find that out.
// At the next sign-in a hash is replaced by argon2id of the present cost. Until then
// a sign-in takes the time of the hash that was imported, from which can be told
// that the address is known.
//
// The installation's audit tells how many were made. The principal must be an
// operator or the system.
func (s *Service) ImportUsers(ctx context.Context, p platform.Principal, users []ImportUser) ([]ImportedUser, error) {
	if err := operates(p); err != nil {
		return nil, err
	}
	if len(users) > maxImport {
		return nil, platform.Errorf(platform.KindTooLarge, "too_many_users", "one import has at most %d people", maxImport)
	}
	checked := make([]ImportUser, len(users))
	var fields []platform.Field
	for i, u := range users {
		var faults []platform.Field
		checked[i], faults = s.checkImport(fmt.Sprintf("/%d", i), u)
		fields = append(fields, faults...)
	}
	if fields != nil {
		return nil, platform.Invalid(fields...)
	}
	out := make([]ImportedUser, len(users))
	err := s.db.AcrossTenants(ctx, s.cross.operators, func(ctx context.Context, tx store.CrossTx) error {
		created := 0
		for i, u := range checked {
			var err error
			if out[i], err = s.importUser(ctx, tx, u); err != nil {
				return err
			}
			if out[i].Created {
				created++
			}
		}
		if created == 0 {
			return nil
		}
		return s.record(ctx, tx, platform.NoTenant, byPrincipal(p), "users.imported", "", map[string]string{"created": strconv.Itoa(created)})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// checkImport returns a person in normal form, or what is wrong.
func (s *Service) checkImport(path string, u ImportUser) (ImportUser, []platform.Field) {
	var faults []platform.Field
	var ok bool
	if u.Email, ok = normalizeEmail(u.Email); !ok {
		f := emailField()
		f.Path = path + f.Path
		faults = append(faults, f)
	}
	if u.Name, ok = cleanName(u.Name); !ok {
		faults = append(faults, nameField(path+"/name"))
	}
	if len(u.ExternalID) > maxExternalID || !utf8.ValidString(u.ExternalID) || strings.ContainsFunc(u.ExternalID, notPrintable) {
		faults = append(faults, platform.Field{Path: path + "/external_id", Code: "format", Detail: "at most 200 bytes without control characters"})
	}
	if u.PasswordHash != "" {
		if f := s.passwords.checkHash(path+"/password_hash", u.PasswordHash); f != nil {
			faults = append(faults, *f)
		}
	}
	return u, faults
}

// importUser makes an account, or finds the one that is there.
func (s *Service) importUser(ctx context.Context, tx store.CrossTx, u ImportUser) (ImportedUser, error) {
	now, verified := micros(s.now()), int64(0)
	if u.EmailVerified {
		verified = now
	}
	id := s.newID("usr")
	made, err := changedOne(ctx, tx, `INSERT INTO user_accounts (id, email, name, status, created_at, updated_at, email_verified_at, external_id)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, id, u.Email, u.Name, string(Active), now, now, verified, u.ExternalID)
	if err != nil {
		return ImportedUser{}, fmt.Errorf("user: import: %w", err)
	}
	if made {
		if u.PasswordHash != "" {
			_, err = tx.Exec(ctx, `INSERT INTO user_passwords (user_id, hash, changed_at) VALUES (?, ?, ?)`, id, string(u.PasswordHash), now)
		}
		return ImportedUser{ID: id, Created: true}, err
	}
	// The id of the other system goes before the address, which may have changed.
	err = tx.QueryRow(ctx, `SELECT id FROM user_accounts WHERE external_id <> '' AND external_id = ?`, u.ExternalID).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.QueryRow(ctx, `SELECT id FROM user_accounts WHERE email = ?`, u.Email).Scan(&id)
	}
	return ImportedUser{ID: id}, err
}
