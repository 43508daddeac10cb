package store

import (
	"context"

	"github.com/acme/platform"
)

// RelationalDocuments is a [Documents] that keeps its documents in a
// [Relational]: changes of documents and rows can commit together.
type RelationalDocuments interface {
	Documents

	// Relational is the store whose transactions the other methods take.
	Relational() Relational

	// ApplyIn is [Documents.Apply] in a transaction of the tenant. After an
	// error the transaction must not commit.
	ApplyIn(ctx context.Context, tx Tx, collection string, changes []Change, build EventsBuilder) ([]Document, error)

	// PutCollectionIn is [Documents.PutCollection] in a transaction of the
	// tenant. After an error the transaction must not commit.
	PutCollectionIn(ctx context.Context, tx Tx, c Collection, events ...platform.Event) (Collection, error)
}
