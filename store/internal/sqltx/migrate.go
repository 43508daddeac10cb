package sqltx

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"time"

	"github.com/acme/platform/store"
)

// Migrator is what a driver brings to [Migrate].
type Migrator struct {
	// Dialect is the folder of the driver's files: "sqlite".
	Dialect string
	// InTx runs fn in a transaction beside which no other migration runs,
	// of this process or another, and commits when it returns nil. It is nil
	// where nothing may be applied.
	InTx func(ctx context.Context, fn func(context.Context, store.Queries) error) error
	// InReadTx runs fn in a read-only transaction, to find out without waiting
	// for others whether anything is missing; nil where InTx is as cheap.
	InReadTx func(ctx context.Context, fn func(context.Context, store.Queries) error) error
	// Exists asks whether the table schema_migrations is there; it is needed
	// with InReadTx.
	Exists string
	// After runs in the transaction of each file that was applied; nil does
	// nothing.
	After func(ctx context.Context, tx store.Queries) error
	// Now is the clock of the column applied.
	Now func() time.Time
}

// NewerError is the error of a database that was migrated by a newer program.
// That program's tables may not be what this one expects, so it must not run.
type NewerError struct {
	Component string
	// Unknown are the versions that the database has and the program has not.
	Unknown []int
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("the database is newer than this program: it has migrations %v of %q", e.Unknown, e.Component)
}

// ChangedError is the error of a migration whose file is not what was applied.
type ChangedError struct {
	Component string
	Version   int
	Name      string
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("migration %d (%s) of %q was changed after it had been applied", e.Version, e.Name, e.Component)
}

// MissingError is the error of a database that lacks migrations and of a store
// that may not apply them.
type MissingError struct {
	Component string
	// Applied and Known are how many the database has, and the program.
	Applied, Known int
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("the database has %d of %d migrations of %q, and the owner of its tables is not at hand to apply the rest",
		e.Applied, e.Known, e.Component)
}

// Migrate applies what is missing of m, each file in a transaction of its own,
// so that a failing file leaves those before it.
func Migrate(ctx context.Context, by Migrator, m store.Migrations) error {
	files, err := readFiles(m, by.Dialect)
	if err != nil {
		return fmt.Errorf("migrate %q: %w", m.Component, err)
	}
	if by.InReadTx != nil {
		applied, err := look(ctx, by, m.Component, files)
		switch {
		case err != nil:
			return fmt.Errorf("migrate %q: %w", m.Component, err)
		case applied == len(files):
			return nil
		case by.InTx == nil:
			return &MissingError{Component: m.Component, Applied: applied, Known: len(files)}
		}
	}
	for done := false; !done; {
		err := by.InTx(ctx, func(ctx context.Context, tx store.Queries) error {
			var err error
			done, err = step(ctx, tx, by, m.Component, files)
			return err
		})
		if err != nil {
			return fmt.Errorf("migrate %q: %w", m.Component, err)
		}
	}
	return nil
}

// look returns how many of the files are applied.
func look(ctx context.Context, by Migrator, component string, files []file) (applied int, err error) {
	err = by.InReadTx(ctx, func(ctx context.Context, tx store.Queries) error {
		var there bool
		if err := tx.NewRaw(by.Exists).Scan(ctx, &there); err != nil || !there {
			return err
		}
		applied, err = check(ctx, tx, component, files)
		return err
	})
	return applied, err
}

type file struct {
	name, text, checksum string
}

var fileName = regexp.MustCompile(`^([0-9]{4})_([a-z0-9_]+)\.sql$`)

// readFiles returns the files of a dialect; version n is at index n-1.
func readFiles(m store.Migrations, dialect string) ([]file, error) {
	if m.Component == "" || m.Files == nil {
		return nil, errors.New("a component and its files are needed")
	}
	entries, err := fs.ReadDir(m.Files, dialect) // sorted by name
	if err != nil {
		return nil, err
	}
	var files []file
	for _, e := range entries {
		parts := fileName.FindStringSubmatch(e.Name())
		if parts == nil {
			return nil, fmt.Errorf("%s/%s is not called like 0001_name.sql", dialect, e.Name())
		}
		if version, _ := strconv.Atoi(parts[1]); version != len(files)+1 {
			return nil, fmt.Errorf("%s/%s: version %d comes next", dialect, e.Name(), len(files)+1)
		}
		text, err := fs.ReadFile(m.Files, dialect+"/"+e.Name())
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(text)
		files = append(files, file{name: parts[2], text: string(text), checksum: hex.EncodeToString(sum[:])})
	}
	if files == nil {
		return nil, fmt.Errorf("no files in %s/", dialect)
	}
	return files, nil
}

// step compares the database with the files and applies the first that is
// missing. It reports whether none was.
func step(ctx context.Context, tx store.Queries, by Migrator, component string, files []file) (done bool, err error) {
	if _, err := tx.Exec(ctx, `CREATE TABLE IF NOT EXISTS schema_migrations (
		component TEXT NOT NULL,
		version   INTEGER NOT NULL,
		name      TEXT NOT NULL,
		checksum  TEXT NOT NULL,
		applied   BIGINT NOT NULL,
		PRIMARY KEY (component, version)
	)`); err != nil {
		return false, err
	}
	applied, err := check(ctx, tx, component, files)
	if err != nil || applied == len(files) {
		return true, err
	}
	f, version := files[applied], applied+1
	if _, err := tx.Exec(ctx, f.text); err != nil {
		return false, fmt.Errorf("version %d (%s): %w", version, f.name, err)
	}
	_, err = tx.Exec(ctx,
		"INSERT INTO schema_migrations (component, version, name, checksum, applied) VALUES (?, ?, ?, ?, ?)",
		component, version, f.name, f.checksum, by.Now().UnixMicro())
	if err != nil || by.After == nil {
		return false, err
	}
	return false, by.After(ctx, tx)
}

// check returns how many of the files are applied.
func check(ctx context.Context, tx store.Queries, component string, files []file) (applied int, err error) {
	rows, err := tx.Query(ctx,
		"SELECT version, name, checksum FROM schema_migrations WHERE component = ? ORDER BY version", component)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	var unknown []int
	for rows.Next() {
		var (
			version        int
			name, checksum string
		)
		if err := rows.Scan(&version, &name, &checksum); err != nil {
			return 0, err
		}
		switch {
		case version > len(files):
			unknown = append(unknown, version)
		case version != applied+1:
			return 0, fmt.Errorf("version %d is recorded as applied, %d is not", version, applied+1)
		case checksum != files[version-1].checksum:
			return 0, &ChangedError{Component: component, Version: version, Name: name}
		default:
			applied++
		}
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	if unknown != nil {
		return 0, &NewerError{Component: component, Unknown: unknown}
	}
	return applied, nil
}

// sub is fs.Sub for a folder that is known to be embedded.
func sub(files fs.FS, dir string) fs.FS {
	s, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // only a dir that is no valid path fails
	}
	return s
}
