package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/acme/platform"
	"github.com/acme/platform/store/internal/sqltx"
)

// ErrNested is the error of a transaction begun inside another one of the same
// store: with all connections in use it would wait for itself.
var ErrNested = errors.New("postgres: a transaction was begun inside another one")

// ErrAfterCommit is the error of a [DB.Join] whose function called
// [store.Tx.AfterCommit]: the commit is the host's, and the store does not see it.
var ErrAfterCommit = errors.New("postgres: join: AfterCommit was called, but the commit is the host's: " +
	"do after your own commit what must follow it, or enqueue a job")

// errHidden is the error of a function that went on after a statement had failed:
// COMMIT would roll back and say nothing.
var errHidden = errors.New("postgres: the transaction's function returned no error although a statement had failed")

// NewerError is the error of migrating a database that a newer program has
// migrated before.
type NewerError = sqltx.NewerError

// ChangedError is the error of a migration that was edited after it had been
// applied.
type ChangedError = sqltx.ChangedError

// MissingError is the error of a database that lacks migrations, where there is
// no pool of the owner to apply them.
type MissingError = sqltx.MissingError

// WallError is the error of a database in which tenants are not kept apart as
// they must be.
type WallError struct {
	// Holes say what is wrong, each with the table or role it is about.
	Holes []string
}

func (e *WallError) Error() string {
	return "the walls between tenants have holes: " + strings.Join(e.Holes, "; ")
}

// The codes of https://www.postgresql.org/docs/current/errcodes-appendix.html
// that mean something to us.
const (
	codeUnique           = "23505"
	codeForeignKey       = "23503"
	codeReadOnly         = "25006"
	codeSerialization    = "40001"
	codeDeadlock         = "40P01"
	codeFeature          = "0A000"
	codeCancelled        = "57014"
	codeAborted          = "25P02"
	codePrivilege        = "42501"
	codeLockNotAvailable = "55P03"
	codeDiskFull         = "53100"
	codeCharacter        = "22021"
	codeUntranslatable   = "22P05"
)

// translate gives an error of the database a kind where a caller can act on it.
// The original stays in the tree.
func translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var known *platform.Error
	if errors.As(err, &known) {
		return err
	}
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return translateCode(ctx, e, err)
	}
	if ctx.Err() != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errSilent) {
			return unavailable("store_silent", "the store does not answer").Because(err)
		}
		if !errors.Is(err, ctx.Err()) {
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		return err
	}
	if connectionLost(err) {
		return unavailable("store_unavailable", "the store is away").Because(err)
	}
	return err
}

func translateCode(ctx context.Context, e *pgconn.PgError, err error) error {
	switch e.Code {
	case codeUnique:
		return platform.Errorf(platform.KindConflict, "unique", "it exists already").Because(err)
	case codeForeignKey:
		return platform.Errorf(platform.KindConflict, "reference", "it refers to what is not there, or is referred to").Because(err)
	case codeCharacter, codeUntranslatable:
		return platform.Errorf(platform.KindInvalid, "text", "texts are UTF-8 without the character U+0000").Because(err)
	case codeReadOnly:
		return fmt.Errorf("%w: %w", sqltx.ErrReadOnly, err)
	case codeSerialization, codeDeadlock:
		return platform.Errorf(platform.KindConflict, "conflict", "another transaction was in the way").Because(err)
	case codeCancelled:
		if ctx.Err() != nil {
			if errors.Is(context.Cause(ctx), errSilent) {
				return unavailable("store_silent", "the store does not answer").Because(err)
			}
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
		return unavailable("store_busy", "the store stopped the statement").Because(err)
	case codeLockNotAvailable:
		return unavailable("store_busy", "the store is busy").Because(err)
	case codeDiskFull:
		return unavailable("store_full", "the store has no room").Because(err)
	}
	switch e.Code[:2] {
	case "08", "53", "57", "58", "XX": // connection, resources, operator, system, internal
		return unavailable("store_unavailable", "the store does not work").Because(err)
	}
	return err
}

func unavailable(code, message string) *platform.Error {
	return platform.Errorf(platform.KindUnavailable, code, "%s", message)
}

// connectionLost reports whether err is of the way to the server.
func connectionLost(err error) bool {
	var network net.Error
	var connect *pgconn.ConnectError
	return errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.As(err, &network) || errors.As(err, &connect) ||
		strings.Contains(err.Error(), "conn closed") // pgx has no value for it
}

// again reports whether the function of a transaction may succeed in another
// one: it lost against others, or a prepared statement met a table that was
// changed meanwhile.
func again(err error) bool {
	if sqltx.IsAgain(err) {
		return true
	}
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	return e.Code == codeSerialization || e.Code == codeDeadlock ||
		e.Code == codeFeature && strings.Contains(e.Message, "cached plan")
}
