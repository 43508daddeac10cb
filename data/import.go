package data

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// Limits of an import. A batch is one transaction.
const (
	maxBatchRecords = 500
	maxBatchBytes   = 1 << 20
	maxImportErrors = 1000
)

// Format is how records are written in an import or an export.
type Format string

// The formats.
const (
	NDJSON Format = "ndjson" // one JSON object a line (application/x-ndjson)
	JSON   Format = "json"   // one array of JSON objects (application/json)
	CSV    Format = "csv"    // RFC 4180 with a header (text/csv)
)

// ImportOptions say how an import is read.
type ImportOptions struct {
	// Format is what the input is written in; it must be set.
	Format Format
	// Key is a member of each record whose value, a string that can be an id
	// or an integer, becomes the record's id. The import is then an upsert,
	// and running it again changes nothing but versions. Empty has ids made.
	Key string
	// Infer makes numbers and booleans of the cells of a CSV file that are
	// written as JSON would write them, where the schema says nothing about
	// the column. "00501" is no number in JSON and stays as it is.
	Infer bool
}

// ImportResult is the outcome of an import.
type ImportResult struct {
	ID       string        `json:"id" doc:"The import's id, which the events of its records name"`
	Imported int64         `json:"imported" doc:"Records created"`
	Updated  int64         `json:"updated" doc:"Records replaced"`
	Failed   int64         `json:"failed" doc:"Lines refused"`
	Errors   []ImportError `json:"errors" nullable:"false" doc:"The first 1,000 refused lines"`
}

// ImportError is one refused line.
type ImportError struct {
	Line   int64  `json:"line" doc:"The line of the input on which the record begins; of a JSON array the element, from 1"`
	Code   string `json:"code" doc:"Stable code, for programs"`
	Detail string `json:"detail" doc:"What would be right"`
}

// item is one record of the input, or why there is none.
type item struct {
	line int64
	raw  []byte // valid until the next call
	err  error
	// last ends the input after this item: what follows cannot be read.
	last bool
	// fragile ends it where this item turns out to be no JSON.
	fragile bool
}

// source reads the records of an input one by one, in memory that the limit of
// one record bounds. Its error is io.EOF at the end, and otherwise one that
// ends the import; the item then says in which line.
type source interface {
	next() (item, error)
}

// Import reads records from r until its end and writes those that are valid, in
// batches of at most 500 records and about 1 MiB, each one transaction. Every
// record has the event of a single change, with the import's id in its data. A
// record that is refused is named in the result and does not stop the
// others; what is not valid JSON ends a JSON array there, since its elements
// cannot be told apart any more. Records that get new ids get them in the order
// of the input. The schema is that of the collection when the
// import began. An error means that the rest was not read;
// the batches before it stay, and the result counts them. An input that goes on
// beyond [Config.Import], or whose record does not end where the next could be
// found, ends there: what came before is written. Errors:
// [platform.KindNotFound] for the collection, [platform.KindForbidden],
// [platform.KindInvalid] for the header of a CSV file, [platform.KindMalformed]
// where r breaks off, [platform.KindTooLarge] and [platform.KindTimeout]
// "import_too_large" at a limit, and those of the store.
//
// Where [Config.Access] limits the principal, a line is refused that would write
// what the principal may not, and one whose record another change met.
func (s *Service) Import(
	ctx context.Context, p platform.Principal, collection string, r io.Reader, o ImportOptions, keys ...*platform.IdempotencyKey,
) (ImportResult, error) {
	im := importer{
		service: s, principal: p, collection: collection, key: o.Key,
		result: ImportResult{Errors: []ImportError{}}, once: newImportOnce(idempotency.Only(keys)),
	}
	var err error
	if im.grant, err = s.grant(ctx, p, PermissionWriteRecords, collection); err != nil {
		return im.result, err
	}
	if im.result.ID = s.newID("imp"); im.once != nil { // so that one that is sent again is the same import
		im.result.ID = idempotency.DerivedID("imp", im.once.key, p, "data.records.import "+collection)
	}
	c, err := s.collection(ctx, p.Tenant, collection)
	if err != nil {
		return im.result, err
	}
	if im.schema, err = s.schemas.of(p.Tenant, &c); err != nil {
		return im.result, err
	}
	src, err := newSource(s.importLimits.bound(r, s.now), o, c.Schema, s.maxRecord)
	if err != nil {
		return im.result, at(err, 1)
	}
	err = im.run(ctx, src)
	if im.once != nil && im.once.batch > 0 {
		im.once.key.SetReplayed(im.once.repeated)
	}
	return im.result, err
}

func newSource(r io.Reader, o ImportOptions, schema json.RawMessage, maxRecord int) (source, error) {
	switch o.Format {
	case NDJSON:
		return newLines(r, maxRecord), nil
	case JSON:
		return newArray(r, maxRecord), nil
	case CSV:
		return newTable(r, schema, o.Infer, maxRecord)
	}
	return nil, fmt.Errorf("data: import: unknown format %q", o.Format)
}

// importer is the state of one import.
type importer struct {
	service    *Service
	principal  platform.Principal
	collection string
	key        string
	grant      Grant
	schema     *schema
	result     ImportResult
	once       *importOnce // nil without an idempotency key

	changes []store.Change
	lines   []int64 // of the changes
	size    int
	written store.Size // by the present batch; what replaces counts whole
	over    bool       // whether a line was refused for want of room
}

func (im *importer) run(ctx context.Context, src source) error {
	most := im.service.importLimits.Records
	for n := int64(0); ; n++ {
		it, err := src.next()
		switch {
		case errors.Is(err, io.EOF):
			return im.flush(ctx)
		case err == nil && n == most:
			err = tooMuch(platform.KindTooLarge, "an import may have %d records", most)
		}
		if isLimit(err) {
			return im.end(ctx, at(err, it.line))
		}
		if err != nil {
			return err
		}
		if it.err == nil {
			it.err = im.add(it)
		}
		if it.err != nil {
			if err := im.refuse(it.line, it.err); err != nil {
				return err
			}
		}
		if it.last || it.fragile && errors.Is(it.err, platform.ErrMalformed) {
			return im.flush(ctx)
		}
		if len(im.changes) >= maxBatchRecords || im.size >= maxBatchBytes {
			if err := im.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// end writes what came before a limit.
func (im *importer) end(ctx context.Context, limit error) error {
	if err := im.flush(ctx); err != nil {
		return err
	}
	return limit
}

// add checks one record and puts it in the batch.
func (im *importer) add(it item) error {
	data, err := compactObject(it.raw, "")
	if err != nil {
		return err
	}
	if len(data) > im.service.maxRecord {
		return im.service.tooLarge()
	}
	change := store.Change{Op: store.OpInsert, Data: data}
	if im.key != "" {
		change.Op = store.OpUpsert
		if change.ID, err = keyOf(data, im.key); err != nil {
			return err
		}
	}
	if im.grant.whole() { // otherwise once it is known what the record becomes
		if err := im.schema.validate(data, ""); err != nil {
			return err
		}
	}
	im.changes = append(im.changes, change)
	im.lines = append(im.lines, it.line)
	im.size += len(data)
	return nil
}

// refuse notes a refused line. It returns errors that are not about the line.
func (im *importer) refuse(line int64, err error) error {
	var e *platform.Error
	if !errors.As(err, &e) || e.Kind == platform.KindInternal || e.Kind == platform.KindUnavailable {
		return err
	}
	im.result.Failed++
	if len(im.result.Errors) >= maxImportErrors {
		return nil
	}
	refused := ImportError{Line: line, Code: e.CodeOrKind(), Detail: e.Message}
	if len(e.Fields) > 0 {
		f := e.Fields[0]
		refused.Code, refused.Detail = f.Code, f.Path+" "+f.Detail
		if more := len(e.Fields) - 1; more > 0 {
			refused.Detail += fmt.Sprintf(" (and %d more)", more)
		}
	}
	im.result.Errors = append(im.result.Errors, refused)
	return nil
}

// flush writes the batch. Where the store refuses a change, those before it are
// written on their own, and then ever more at once, so that the work stays in
// proportion to the batch however many are refused.
func (im *importer) flush(ctx context.Context) error {
	changes, lines := im.changes, im.lines
	im.changes, im.lines, im.size = im.changes[:0], im.lines[:0], 0
	switch {
	case im.key == "" && im.once != nil && im.service.repeats == nil:
		im.numberOnce(changes)
	case im.key == "":
		number(changes, im.service.newID)
	}
	if im.grant.whole() {
		return im.put(ctx, changes, lines)
	}
	return im.flushWithin(ctx, changes, lines)
}

// put writes changes for which the tenant has room.
func (im *importer) put(ctx context.Context, changes []store.Change, lines []int64) error {
	if im.once != nil && im.service.repeats != nil {
		return im.putOnce(ctx, changes, lines)
	}
	n, settle, err := im.admit(ctx, changes, lines)
	if err != nil {
		return err
	}
	defer settle()
	changes, lines = changes[:n], lines[:n]
	for size := len(changes); len(changes) > 0; {
		n := min(size, len(changes))
		err := im.write(ctx, changes[:n])
		var refused *store.ChangeError
		switch {
		case err == nil:
			changes, lines = changes[n:], lines[n:]
			size = 2 * n
		case errors.As(err, &refused):
			i := refused.Index
			if im.created(refused.Err) {
				im.result.Imported++
			} else if err := im.refuse(lines[i], im.grant.hide(refused.Err, "/data")); err != nil {
				return err
			}
			changes, lines = slices.Delete(changes, i, i+1), slices.Delete(lines, i, i+1)
			size = max(i, 1)
		default:
			return err
		}
	}
	return nil
}

// number gives changes new ids that sort in their order, so that an export, whose
// order is that of ids, gives a file back in its own.
func number(changes []store.Change, newID func(string) string) {
	ids := make([]string, len(changes))
	for i := range ids {
		ids[i] = newID("rec")
	}
	slices.Sort(ids)
	for i := range changes {
		changes[i].ID = ids[i]
	}
}

// writes is how often a batch is sent that lost against another transaction.
const writes = 3

// write applies changes as one batch, with an event for each.
func (im *importer) write(ctx context.Context, changes []store.Change) error {
	var err error
	for range writes {
		var docs []store.Document
		docs, err = im.service.docs.Apply(ctx, im.principal.Tenant, im.collection, changes, im.events)
		if err == nil {
			im.wrote(docs)
			return nil
		}
		if !lost(err) {
			break
		}
	}
	return err
}

// wrote counts what was written.
func (im *importer) wrote(docs []store.Document) {
	for i := range docs {
		im.written.Bytes += int64(len(docs[i].Data))
		if docs[i].Version == 1 {
			im.written.Documents++
			im.result.Imported++
		} else {
			im.result.Updated++
		}
	}
	if im.once != nil && len(docs) > 0 {
		im.once.repeated = false
	}
}

// lost reports whether a transaction lost against another one, which is a
// conflict that is not about a change.
func lost(err error) bool {
	return errors.Is(err, platform.ErrConflict) &&
		!errors.Is(err, &platform.Error{Kind: platform.KindConflict, Code: "exists"}) &&
		!errors.Is(err, &platform.Error{Kind: platform.KindConflict, Code: "unique"})
}

// keyOf takes the id out of compact data.
func keyOf(data []byte, key string) (string, error) {
	value, ok := member(data, key)
	at := "/" + escapePointer(key)
	if !ok {
		return "", platform.Invalid(platform.Field{Path: at, Code: "key_missing", Detail: "is the key and must be there"})
	}
	id := string(value)
	switch {
	case value[0] == '"':
		if err := json.Unmarshal(value, &id); err != nil {
			return "", fmt.Errorf("data: decode key: %w", err)
		}
	case numberLength(value) == 0 || !isInteger(value):
		return "", platform.Invalid(platform.Field{Path: at, Code: "key_type", Detail: "is the key and must be a string or an integer"})
	}
	if !validRecordID(id) {
		return "", platform.Invalid(platform.Field{Path: at, Code: "key_format", Detail: "is the key and " + idRule})
	}
	return id, nil
}

// member returns the value of a member of a compact object.
func member(object []byte, name string) ([]byte, bool) {
	for key, value := range members(object) {
		if key == name {
			return value, true
		}
	}
	return nil, false
}
