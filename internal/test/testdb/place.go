package testdb

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/postgres"
	"github.com/acme/platform/store/sqlite"
)

// DB is what every relational store of a driver can do.
type DB interface {
	store.Relational
	store.Emitter
	platform.Module
	platform.Stopper
	platform.Checker
	Close() error
}

// Place is where the data of a test lies: it outlives the stores that are opened
// over it. On SQLite it is a file, on PostgreSQL a database.
type Place struct {
	path string // "" on PostgreSQL
	url  string
	// bubble is set where the test is in a bubble of synctest.
	bubble bool
}

// prepared are the places of tests that begin in a bubble of synctest, by name.
var prepared struct {
	sync.Mutex
	places map[string]*Place
}

// NewPlace returns an empty place, which ends with the test.
func NewPlace(tb testing.TB) *Place {
	tb.Helper()
	prepared.Lock()
	p := prepared.places[tb.Name()]
	delete(prepared.places, tb.Name())
	prepared.Unlock()
	switch {
	case p != nil:
		return p
	case OnPostgres():
		return &Place{url: teststack.Postgres(tb)}
	}
	return &Place{path: filepath.Join(tb.TempDir(), "test.db")}
}

// Prepare makes the place that the next [NewPlace] of the test returns. A test in
// a bubble of synctest calls it outside of the bubble, in which no server starts.
func Prepare(tb testing.TB) {
	tb.Helper()
	p := NewPlace(tb)
	p.bubble = true
	prepared.Lock()
	defer prepared.Unlock()
	if prepared.places == nil {
		prepared.places = make(map[string]*Place)
	}
	prepared.places[tb.Name()] = p
}

// OnServer returns a place on a PostgreSQL of the test's own, which forces commits
// to the disk: for figures.
func OnServer(tb testing.TB) *Place {
	tb.Helper()
	s := teststack.Start(tb, teststack.PostgresServer)
	return &Place{url: s.URLAt(s.Direct(tb))}
}

// Name is what [Connect] takes.
func (p *Place) Name() string { return p.path + p.url }

// Connect makes and starts the store over the place of that name, in another
// process too. The caller closes it.
func Connect(ctx context.Context, name string) (DB, error) {
	if strings.HasPrefix(name, "postgres://") {
		db, err := postgres.New(postgres.Config{URL: name})
		return started(ctx, db, err)
	}
	db, err := sqlite.New(name)
	return started(ctx, db, err)
}

// started starts what New has returned. Where that fails there is nothing to close.
func started[S interface {
	DB
	platform.Starter
}](ctx context.Context, db S, err error) (S, error) {
	if err == nil {
		err = db.Start(ctx)
	}
	return db, err
}

// Open opens the store, and closes it at the end of the test. A test may close it
// earlier, for a restart.
func (p *Place) Open(tb testing.TB) DB {
	tb.Helper()
	db, err := Connect(context.Background(), p.Name())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close the store: %v", err)
		}
	})
	if p.bubble && p.path == "" {
		return steady{db}
	}
	return db
}

// Another returns the store of another process over the place where first lies:
// on SQLite, which has one, that is first.
func (p *Place) Another(tb testing.TB, first DB) DB {
	tb.Helper()
	if p.path != "" {
		return Alone(first, false)
	}
	return p.Open(tb)
}
