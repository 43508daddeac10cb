package mongo

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/internal/docchange"
)

// unique moves the keys of a document in a unique index. A key that another
// document has refuses the change, or while the index is being built, the
// index.
func (e *evaluation) unique(i int, x *index, id string, old, come document.Entries) error {
	gone, added := docchange.Differ(present(old), present(come))
	for _, key := range gone {
		if k := claimKey(x, key); e.holder(i, k) == id {
			change(e, e.claims, k, "")
		}
	}
	for _, key := range added {
		k := claimKey(x, key)
		if holder := e.holder(i, k); holder != "" && holder != id {
			if x.Build == "" {
				return docchange.UniqueError(x.Keys, x.Index.Fields)
			}
			if !e.broken[i] {
				e.broken[i] = true
				e.undo = append(e.undo, func() { e.broken[i] = false })
			}
		}
		change(e, e.claims, k, id)
	}
	return nil
}

// present are the keys that a unique index compares.
func present(e document.Entries) [][]byte {
	if !e.Present {
		return nil
	}
	return e.Keys
}

// holder returns the document that has a key, "" for none. Where that is not
// known yet it is noted as such.
func (e *evaluation) holder(i int, key string) string {
	if doc, changed := e.claims[key]; changed {
		return doc
	}
	doc, known := e.b.claims[key]
	if !known {
		e.unknown[key] = i
	}
	return doc
}

// loadClaims finds out who has the keys.
func (b *batch) loadClaims(ctx context.Context, keys map[string]int) error {
	ids := make([]rowID, 0, len(keys))
	for key := range keys {
		b.claims[key] = ""
		ids = append(ids, b.sc.id(key))
	}
	claimed := make(map[string]string)
	err := b.d.claims.many(ctx, ids, func(raw bson.Raw) error {
		var row claimRow
		err := bson.Unmarshal(raw, &row)
		claimed[rest(idOf(raw), 0)] = row.Doc
		return fault("decode", err)
	})
	if err != nil || len(claimed) == 0 {
		return err
	}
	docs := make([]string, 0, len(claimed))
	for _, doc := range claimed {
		docs = append(docs, doc)
	}
	if err := b.loadDocuments(ctx, docs); err != nil {
		return err
	}
	for key, doc := range claimed {
		has, err := b.has(b.docs[doc].record, keys[key], key)
		if err != nil {
			return err
		}
		if has {
			b.claims[key] = doc
		}
	}
	return nil
}

// has reports whether a record has a key in a unique index.
func (b *batch) has(r *document.Record, i int, key string) (bool, error) {
	if r == nil {
		return false, nil
	}
	all, err := b.entriesOf(r)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(present(all[i]), func(k []byte) bool { return claimKey(b.indexes[i], k) == key }), nil
}
