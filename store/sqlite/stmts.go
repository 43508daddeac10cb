package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// keptStatements bounds the prepared statements of one connection.
const keptStatements = 128

// stmts keeps the prepared statements of a connection, by text. A text is kept
// from its second use on: query builders write values into their texts, and
// those, seen once, must not drive out what is used all the time.
type stmts struct {
	raw  driver.ConnPrepareContext
	kept *simplelru.LRU[string, *stmt]
	seed maphash.Seed
	seen [256]uint64 // hashes of texts seen, the newest of each slot
}

// stmt is a prepared statement; one use at a time, since rows of it that are
// still being read would be reset by the next.
type stmt struct {
	prepared
	busy  bool
	kept  bool
	quick bool // its last query had its first row soon
}

type prepared interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

func newStmts(raw driver.ConnPrepareContext) *stmts {
	s := &stmts{raw: raw, seed: maphash.MakeSeed()}
	kept, err := simplelru.NewLRU(keptStatements, func(_ string, old *stmt) {
		old.kept = false
		if !old.busy {
			_ = old.Close()
		}
	})
	if err != nil {
		panic(err) // only a size below one fails
	}
	s.kept = kept
	return s
}

// get returns a statement that must be given back with put.
func (s *stmts) get(ctx context.Context, query string) (*stmt, error) {
	known, ok := s.kept.Get(query)
	if ok && !known.busy {
		known.busy = true
		return known, nil
	}
	p, err := s.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	fresh := &stmt{prepared: p, busy: true}
	if !ok && s.again(query) {
		fresh.kept = true
		s.kept.Add(query, fresh)
	}
	return fresh, nil
}

func (s *stmts) prepare(ctx context.Context, query string) (prepared, error) {
	// The driver parses a text that has a tail again on every run.
	raw, err := s.raw.PrepareContext(ctx, strings.TrimSpace(query))
	if err != nil {
		return nil, err
	}
	p, ok := raw.(prepared)
	if !ok {
		return nil, errors.Join(fmt.Errorf("unexpected statement %T", raw), raw.Close())
	}
	return p, nil
}

// again reports whether the text was seen lately, and remembers it.
func (s *stmts) again(query string) bool {
	h := maphash.String(s.seed, query)
	slot := &s.seen[h%uint64(len(s.seen))]
	if *slot == h {
		return true
	}
	*slot = h
	return false
}

func (s *stmts) put(used *stmt) {
	used.busy = false
	if !used.kept {
		_ = used.Close()
	}
}

func (s *stmts) close() { s.kept.Purge() }
