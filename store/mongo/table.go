package mongo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/acme/platform"
)

// scope is what every statement on a tenant's rows goes through: it alone makes
// the names of rows, and the tenant stands first in each.
type scope struct{ tenant platform.TenantID }

// rowID is the _id of a row, and a name of nothing but one tenant's. Only scope
// makes it, and the table of the relay what it has read.
type rowID struct{ text string }

func (s scope) id(parts ...string) rowID {
	return rowID{string(s.tenant) + separator + strings.Join(parts, separator)}
}

// rest returns what an _id says after the tenant and n more parts.
func rest(id string, n int) string {
	for range n + 1 {
		_, id, _ = strings.Cut(id, separator)
	}
	return id
}

// firstPart returns the first part of what rest has returned.
func firstPart(rest string) string {
	part, _, _ := strings.Cut(rest, separator)
	return part
}

// rowRange is the rows from one _id on and before another, of one tenant.
type rowRange struct {
	from, to string
	open     bool // without from itself
}

// under is all rows whose _id begins with the parts.
func (s scope) under(parts ...string) rowRange {
	text := s.id(parts...).text
	return rowRange{from: text + separator, to: text + afterSeparator}
}

// all is all rows of the tenant.
func (s scope) all() rowRange {
	return rowRange{from: string(s.tenant) + separator, to: string(s.tenant) + afterSeparator}
}

func (r rowRange) filter() bson.D {
	from := "$gte"
	if r.open {
		from = "$gt"
	}
	return bson.D{{Key: "_id", Value: bson.D{{Key: from, Value: r.from}, {Key: "$lt", Value: r.to}}}}
}

// table is a collection of the database. Rows are reached by a rowID or a
// rowRange, so no statement is without its tenant.
type table struct {
	c *mongo.Collection
	// timeout bounds each command.
	timeout time.Duration
}

func (t table) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, t.timeout)
}

// guard is what else a row must be for a change of it to happen.
type guard bson.D

func (id rowID) filter(g guard) bson.D {
	return append(bson.D{{Key: "_id", Value: id.text}}, g...)
}

// get decodes a row into out and reports whether there is one.
func (t table) get(ctx context.Context, id rowID, out any) (bool, error) {
	ctx, cancel := t.bound(ctx)
	defer cancel()
	err := t.c.FindOne(ctx, id.filter(nil)).Decode(out)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return false, nil
	}
	return err == nil, fault("read", err)
}

// many shows the rows with the given ids, as far as they are there.
func (t table) many(ctx context.Context, ids []rowID, see func(bson.Raw) error) error {
	const lot = 1000
	for len(ids) > 0 {
		n := min(lot, len(ids))
		var filter bson.D
		if n == 1 {
			filter = ids[0].filter(nil)
		} else {
			texts := make([]string, n)
			for i, id := range ids[:n] {
				texts[i] = id.text
			}
			filter = bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: texts}}}}
		}
		if err := t.find(ctx, filter, options.Find(), func(r bson.Raw) (bool, error) { return true, see(r) }); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// walk shows the rows of a range in the order of their ids, or against it,
// until see wants no more; limit 0 is no limit.
func (t table) walk(ctx context.Context, r rowRange, backward bool, limit int, see func(bson.Raw) (bool, error)) error {
	opts := options.Find().SetSort(bson.D{{Key: "_id", Value: direction(backward)}}).SetLimit(int64(limit))
	return t.find(ctx, r.filter(), opts, see)
}

// ids returns the ids of the first rows of a range.
func (t table) ids(ctx context.Context, r rowRange, backward bool, limit int) ([]string, error) {
	opts := options.Find().SetSort(bson.D{{Key: "_id", Value: direction(backward)}}).SetLimit(int64(limit)).
		SetProjection(bson.D{{Key: "_id", Value: 1}})
	var ids []string
	err := t.find(ctx, r.filter(), opts, func(raw bson.Raw) (bool, error) {
		ids = append(ids, idOf(raw))
		return true, nil
	})
	return ids, err
}

func direction(backward bool) int {
	if backward {
		return -1
	}
	return 1
}

func idOf(raw bson.Raw) string {
	s, _ := raw.Lookup("_id").StringValueOK()
	return s
}

// batchBytes is about how many bytes of rows come at once after the first ones.
const batchBytes = 4 << 20

func (t table) find(ctx context.Context, filter bson.D, opts *options.FindOptionsBuilder, see func(bson.Raw) (bool, error)) error {
	rows, err := t.open(ctx, filter, opts)
	if err != nil {
		return fault("read", err)
	}
	defer t.close(ctx, rows)
	n, size := 0, 0
	for t.advance(ctx, rows) {
		n, size = n+1, size+len(rows.Current)
		if rows.RemainingBatchLength() == 0 {
			// A batch is up to 16 MiB, all of which is held.
			rows.SetBatchSize(int32(max(1, batchBytes/(size/n)))) // a row is not empty
		}
		if more, err := see(rows.Current); err != nil || !more {
			return err
		}
	}
	return fault("read", rows.Err())
}

func (t table) open(ctx context.Context, filter bson.D, opts *options.FindOptionsBuilder) (*mongo.Cursor, error) {
	ctx, cancel := t.bound(ctx)
	defer cancel()
	return t.c.Find(ctx, filter, opts)
}

// advance goes to the next row, for which another command may be needed.
func (t table) advance(ctx context.Context, rows *mongo.Cursor) bool {
	if rows.RemainingBatchLength() == 0 {
		var cancel context.CancelFunc
		ctx, cancel = t.bound(ctx)
		defer cancel()
	}
	return rows.Next(ctx)
}

func (t table) close(ctx context.Context, rows *mongo.Cursor) {
	ctx, cancel := t.bound(context.WithoutCancel(ctx))
	defer cancel()
	_ = rows.Close(ctx) // what was read is read
}

// count counts the rows of a range, up to most.
func (t table) count(ctx context.Context, r rowRange, most int) (int64, error) {
	ctx, cancel := t.bound(ctx)
	defer cancel()
	opts := options.Count()
	if most > 0 {
		opts.SetLimit(int64(most))
	}
	n, err := t.c.CountDocuments(ctx, r.filter(), opts)
	return n, fault("count", err)
}

// insert adds a row whose _id is id, and reports whether it did: it does not
// where there is one.
func (t table) insert(ctx context.Context, id rowID, row any) (bool, error) {
	ctx, cancel := t.bound(ctx)
	defer cancel()
	doc, err := withID(id, row)
	if err != nil {
		return false, err
	}
	_, err = t.c.InsertOne(ctx, doc)
	if mongo.IsDuplicateKeyError(err) {
		return false, nil
	}
	return err == nil, fault("insert", err)
}

// withID puts the _id first.
func withID(id rowID, row any) (bson.D, error) {
	raw, err := bson.Marshal(row)
	if err != nil {
		return nil, fmt.Errorf("mongo: encode a row: %w", err)
	}
	var doc bson.D
	if err := bson.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("mongo: encode a row: %w", err)
	}
	return append(bson.D{{Key: "_id", Value: id.text}}, doc...), nil
}

// insertNew adds rows, and reports whether all of them were new.
func (t table) insertNew(ctx context.Context, rows []newRow) (bool, error) {
	if len(rows) == 1 {
		return t.insert(ctx, rows[0].id, rows[0].row)
	}
	if len(rows) == 0 {
		return true, nil
	}
	ctx, cancel := t.bound(ctx)
	defer cancel()
	docs := make([]any, len(rows))
	for i, r := range rows {
		doc, err := withID(r.id, r.row)
		if err != nil {
			return false, err
		}
		docs[i] = doc
	}
	_, err := t.c.InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
	if onlyDuplicates(err) {
		return false, nil
	}
	return err == nil, fault("insert", err)
}

type newRow struct {
	id  rowID
	row any
}

func onlyDuplicates(err error) bool {
	var all mongo.BulkWriteException
	if !errors.As(err, &all) || all.WriteConcernError != nil {
		return false
	}
	for _, e := range all.WriteErrors {
		if !mongo.IsDuplicateKeyError(e) {
			return false
		}
	}
	return true
}

// swap replaces the row where it is as the guard says, and reports whether it
// did.
func (t table) swap(ctx context.Context, id rowID, g guard, row any) (bool, error) {
	ctx, cancel := t.bound(ctx)
	defer cancel()
	res, err := t.c.ReplaceOne(ctx, id.filter(g), row)
	if err != nil {
		return false, fault("replace", err)
	}
	return res.MatchedCount == 1, nil
}

// set changes fields of the row where it is as the guard says.
func (t table) set(ctx context.Context, id rowID, g guard, change bson.D) (bool, error) {
	ctx, cancel := t.bound(ctx)
	defer cancel()
	res, err := t.c.UpdateOne(ctx, id.filter(g), change)
	if err != nil {
		return false, fault("update", err)
	}
	return res.MatchedCount == 1, nil
}

// next counts up a row and returns the number it has come to, from 1.
func (t table) next(ctx context.Context, id rowID) (int64, error) {
	ctx, cancel := t.bound(ctx)
	defer cancel()
	var row struct {
		N int64 `bson:"n"`
	}
	err := t.c.FindOneAndUpdate(ctx, id.filter(nil), bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: int64(1)}}}},
		options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)).Decode(&row)
	if mongo.IsDuplicateKeyError(err) { // two made the row at once
		return t.next(ctx, id)
	}
	return row.N, fault("count up", err)
}

// drop removes the row where it is as the guard says.
func (t table) drop(ctx context.Context, id rowID, g guard) error {
	ctx, cancel := t.bound(ctx)
	defer cancel()
	_, err := t.c.DeleteOne(ctx, id.filter(g))
	return fault("delete", err)
}

// dropAll removes the rows with the ids.
func (t table) dropAll(ctx context.Context, ids []rowID) error {
	ctx, cancel := t.bound(ctx)
	defer cancel()
	if len(ids) == 0 {
		return nil
	}
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.text
	}
	_, err := t.c.DeleteMany(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: texts}}}})
	return fault("delete", err)
}

// clear removes the rows of a range.
func (t table) clear(ctx context.Context, r rowRange) error {
	ctx, cancel := t.bound(ctx)
	defer cancel()
	_, err := t.c.DeleteMany(ctx, r.filter())
	return fault("delete", err)
}
