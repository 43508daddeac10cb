package sqldocs

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/acme/platform/store"
)

// sizes are how many rows or values one statement takes. Few sizes are few
// texts, each prepared once for a connection.
var sizes = [...]int{64, 16, 4, 1}

// texts are statements by the place of their size in sizes.
type texts [len(sizes)]string

func statementTexts(before, each, after string) (t texts) {
	for i, n := range sizes {
		t[i] = before + strings.Repeat(each+", ", n-1) + each + after
	}
	return t
}

var (
	insertDocuments = statementTexts(
		`INSERT INTO documents (tenant, collection, id, version, created_at, updated_at, data) VALUES `,
		`(?, ?, ?, ?, ?, ?, ?)`, ` ON CONFLICT (tenant, collection, id) DO NOTHING RETURNING id, seq`)
	insertIndexRows = statementTexts(
		`INSERT INTO document_index (tenant, number, sort_key, id, seq) VALUES `, `(?, ?, ?, ?, ?)`, ``)
	selectDocuments = statementTexts(
		`SELECT seq, id, version, created_at, updated_at, data FROM documents WHERE tenant = ? AND collection = ? AND id IN (`,
		`?`, `)`)
	// Without COALESCE, which hides the column from it, SQLite reads the whole
	// collection by its unique index and not the few documents by seq.
	selectBySeq = statementTexts(
		`SELECT seq, id, version, created_at, updated_at, data FROM documents
		WHERE COALESCE(tenant, '') = ? AND collection = ? AND seq IN (`, `?`, `)`)
)

// inserter inserts many rows with few statements.
type inserter struct {
	tx      store.Tx
	texts   *texts
	columns int
	args    []any
	// returned is shown the rows that the statements return; nil where they
	// return none.
	returned func(*sql.Rows) error
}

func (in *inserter) add(ctx context.Context, row ...any) error {
	in.args = append(in.args, row...)
	if len(in.args) < sizes[0]*in.columns {
		return nil
	}
	return in.flush(ctx)
}

func (in *inserter) flush(ctx context.Context) error {
	args := in.args
	for i, n := range sizes {
		for n *= in.columns; len(args) >= n; args = args[n:] {
			if err := in.run(ctx, in.texts[i], args[:n]); err != nil {
				return fmt.Errorf("sqldocs: insert: %w", err)
			}
		}
	}
	clear(in.args)
	in.args = in.args[:0]
	return nil
}

func (in *inserter) run(ctx context.Context, text string, args []any) error {
	if in.returned == nil {
		_, err := in.tx.Exec(ctx, text, args...)
		return err
	}
	rows, err := in.tx.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := in.returned(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
