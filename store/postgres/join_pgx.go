package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// pgxConnector is a database/sql driver whose one connection is a transaction of
// pgx. It answers what pgx's own driver does: the package has no way to put that
// around a connection that is there.
type pgxConnector struct{ tx pgx.Tx }

func (c pgxConnector) Connect(context.Context) (driver.Conn, error) { return pgxConn(c), nil }
func (c pgxConnector) Driver() driver.Driver                        { return nil }

type pgxConn struct{ tx pgx.Tx }

var (
	_ driver.QueryerContext    = pgxConn{}
	_ driver.ExecerContext     = pgxConn{}
	_ driver.NamedValueChecker = pgxConn{}
)

var errNoSession = errors.New("postgres: a joined transaction prepares and begins nothing")

func (pgxConn) Prepare(string) (driver.Stmt, error) { return nil, errNoSession }
func (pgxConn) Begin() (driver.Tx, error)           { return nil, errNoSession }
func (pgxConn) Close() error                        { return nil }

// CheckNamedValue lets pgx encode all arguments, the mode of the query among them.
func (pgxConn) CheckNamedValue(*driver.NamedValue) error { return nil }

func (c pgxConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	tag, err := c.tx.Exec(ctx, query, plain(args)...)
	if err != nil {
		return nil, err
	}
	return driver.RowsAffected(tag.RowsAffected()), nil
}

func (c pgxConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	rows, err := c.tx.Query(ctx, query, append([]any{binaryTypes}, plain(args)...)...)
	if err != nil {
		return nil, err
	}
	// The columns are known with the first row, and some errors come with it.
	more := rows.Next()
	if err := rows.Err(); err != nil {
		rows.Close()
		return nil, err
	}
	return &pgxRows{rows: rows, types: c.tx.Conn().TypeMap(), more: more}, nil
}

func plain(named []driver.NamedValue) []any {
	args := make([]any, len(named))
	for i, v := range named {
		args[i] = v.Value
	}
	return args
}

// binaryTypes come in the binary format, all others as text, which is what a
// string of them is.
var binaryTypes = pgx.QueryResultFormatsByOID{
	pgtype.BoolOID: pgx.BinaryFormatCode, pgtype.ByteaOID: pgx.BinaryFormatCode,
	pgtype.Int2OID: pgx.BinaryFormatCode, pgtype.Int4OID: pgx.BinaryFormatCode, pgtype.Int8OID: pgx.BinaryFormatCode,
	pgtype.Float4OID: pgx.BinaryFormatCode, pgtype.Float8OID: pgx.BinaryFormatCode,
	pgtype.DateOID: pgx.BinaryFormatCode, pgtype.TimestampOID: pgx.BinaryFormatCode, pgtype.TimestamptzOID: pgx.BinaryFormatCode,
	pgtype.OIDOID: pgx.BinaryFormatCode, pgtype.XIDOID: pgx.BinaryFormatCode, pgtype.CIDOID: pgx.BinaryFormatCode,
}

// pgxRows are rows of pgx as values of database/sql.
type pgxRows struct {
	rows  pgx.Rows
	types *pgtype.Map
	read  bool // the first row is
	more  bool // the row that was read last is one
}

func (r *pgxRows) Columns() []string {
	fields := r.rows.FieldDescriptions()
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

func (r *pgxRows) Close() error {
	r.rows.Close()
	return r.rows.Err()
}

func (r *pgxRows) Next(dest []driver.Value) error {
	if r.read {
		r.more = r.rows.Next()
	}
	r.read = true
	if !r.more {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return io.EOF
	}
	fields := r.rows.FieldDescriptions()
	for i, raw := range r.rows.RawValues() {
		dest[i] = nil
		if raw == nil {
			continue
		}
		value, err := r.value(fields[i].DataTypeOID, fields[i].Format, raw)
		if err != nil {
			return err
		}
		dest[i] = value
	}
	return nil
}

// value decodes a column into the type that pgx's database/sql driver gives.
func (r *pgxRows) value(oid uint32, format int16, raw []byte) (driver.Value, error) {
	switch oid {
	case pgtype.BoolOID:
		return scan[bool](r, oid, format, raw)
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		return scan[int64](r, oid, format, raw)
	case pgtype.OIDOID, pgtype.XIDOID, pgtype.CIDOID:
		v, err := scan[uint32](r, oid, format, raw)
		return int64(v), err
	case pgtype.Float4OID, pgtype.Float8OID:
		return scan[float64](r, oid, format, raw)
	case pgtype.ByteaOID, pgtype.JSONOID, pgtype.JSONBOID, pgtype.XMLOID:
		return scan[[]byte](r, oid, format, raw)
	case pgtype.DateOID, pgtype.TimestampOID, pgtype.TimestamptzOID:
		return scan[time.Time](r, oid, format, raw)
	}
	return scan[string](r, oid, format, raw)
}

func scan[T any](r *pgxRows, oid uint32, format int16, raw []byte) (v T, err error) {
	err = r.types.Scan(oid, format, raw, &v)
	return v, err
}
