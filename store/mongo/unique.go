package mongo

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/acme/platform"
	"github.com/acme/platform/store/document"
)

// unique moves the keys of a document in a unique index. A key that another
// document has refuses the change, or while the index is being built, the
// index.
func (e *evaluation) unique(i int, x *index, id string, old, come document.Entries) error {
	gone, added := differ(present(old), present(come))
	for _, key := range gone {
		if k := claimKey(x, key); e.holder(i, k) == id {
			change(e, e.claims, k, "")
		}
	}
	for _, key := range added {
		k := claimKey(x, key)
		if holder := e.holder(i, k); holder != "" && holder != id {
			if x.Build == "" {
				return uniqueError(x)
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

// uniqueError refuses a second document with the same values.
func uniqueError(x *index) *platform.Error {
	e := platform.Errorf(platform.KindConflict, "unique", "another record has the same %s", x.Keys)
	for _, f := range x.Index.Fields {
		e.Fields = append(e.Fields, platform.Field{
			Path: "/data/" + strings.ReplaceAll(f.Path, ".", "/"), Code: "unique", Detail: "must not be in another record",
		})
	}
	return e
}

// differ compares two ordered lists of keys.
func differ(was, is [][]byte) (gone, come [][]byte) {
	for len(was) > 0 || len(is) > 0 {
		var c int
		switch {
		case len(was) == 0:
			c = 1
		case len(is) == 0:
			c = -1
		default:
			c = bytes.Compare(was[0], is[0])
		}
		switch {
		case c < 0:
			gone, was = append(gone, was[0]), was[1:]
		case c > 0:
			come, is = append(come, is[0]), is[1:]
		default:
			was, is = was[1:], is[1:]
		}
	}
	return gone, come
}
