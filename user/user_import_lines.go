package user

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/acme/platform"
)

// importLine is a person in a file of lines, and in the body of the route.
type importLine struct {
	ExternalID    string `json:"external_id,omitempty" maxLength:"200" doc:"The id in the system that the account comes from"`
	Email         string `json:"email" maxLength:"300" example:"ann@example.com"`
	EmailVerified bool   `json:"email_verified,omitempty" doc:"Whether that system knows that mail to email reaches the person"`
	Name          string `json:"name" maxLength:"400" example:"Ann"`
	PasswordHash  string `json:"password_hash,omitempty" maxLength:"512" doc:"argon2id, argon2i, scrypt, bcrypt or pbkdf2 in PHC or modular crypt format, or pbkdf2 in Django's; absent is no password"`
}

func (l importLine) user() ImportUser {
	return ImportUser{
		ExternalID: l.ExternalID, Email: l.Email, EmailVerified: l.EmailVerified, Name: l.Name, PasswordHash: Secret(l.PasswordHash),
	}
}

// ImportCount is what an import of lines has done.
type ImportCount struct {
	Created, Known int
}

// maxImportLine is in bytes.
const maxImportLine = 8 << 10

// ImportLines imports people from lines of JSON, as [Service.ImportUsers] does and
// in batches of its size:
//
//	{"email":"ann@example.com","name":"Ann","external_id":"7","email_verified":true,"password_hash":"$2b$12$…"}
//
// A line that is wrong ends the import. Its error is [platform.KindInvalid] and names
// line and member, such as "line.12.password_hash"; earlier batches stay, and the
// count says how many those were. A repeated import goes on where it ended.
func (s *Service) ImportLines(ctx context.Context, p platform.Principal, lines io.Reader) (count ImportCount, err error) {
	if err := operates(p); err != nil {
		return count, err
	}
	in := bufio.NewScanner(lines)
	in.Buffer(make([]byte, 0, maxImportLine), maxImportLine)
	var (
		batch []ImportUser
		at    []int // the line of each
	)
	flush := func() error {
		made, err := s.ImportUsers(ctx, p, batch)
		for _, u := range made {
			if u.Created {
				count.Created++
			} else {
				count.Known++
			}
		}
		err = atLines(err, at)
		batch, at = batch[:0], at[:0]
		return err
	}
	line := 0
	for in.Scan() {
		line++
		if len(bytes.TrimSpace(in.Bytes())) == 0 {
			continue
		}
		u, err := readImportLine(in.Bytes())
		if err != nil {
			return count, errLine(line, "format", "one JSON object with email, name, and perhaps external_id, email_verified, password_hash")
		}
		batch, at = append(batch, u), append(at, line)
		if len(batch) == maxImport {
			if err := flush(); err != nil {
				return count, err
			}
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return count, errLine(line+1, "too_long", "at most 8 KiB")
	}
	if err := in.Err(); err != nil {
		return count, fmt.Errorf("user: import: read: %w", err)
	}
	return count, flush()
}

func readImportLine(raw []byte) (ImportUser, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	var l importLine
	if err := d.Decode(&l); err != nil {
		return ImportUser{}, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return ImportUser{}, errors.New("more than an object")
	}
	return l.user(), nil
}

func errLine(line int, code, detail string) error {
	return platform.Invalid(platform.Field{Path: "line." + strconv.Itoa(line), Code: code, Detail: detail})
}

// atLines names the lines of a batch in its error.
func atLines(err error, lines []int) error {
	var e *platform.Error
	if !errors.As(err, &e) || e.Kind != platform.KindInvalid {
		return err
	}
	fields := make([]platform.Field, len(e.Fields))
	for i, f := range e.Fields {
		index, member, _ := strings.Cut(strings.TrimPrefix(f.Path, "/"), "/")
		if n, err := strconv.Atoi(index); err == nil && n < len(lines) {
			f.Path = "line." + strconv.Itoa(lines[n]) + "." + member
		}
		fields[i] = f
	}
	return platform.Invalid(fields...)
}
