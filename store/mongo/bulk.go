package mongo

import (
	"context"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// bulk is changes of rows that are sent together. Each must be harmless when
// made again, since all are where one fails.
type bulk struct {
	models []mongo.WriteModel
}

// replace puts row in the place of one that is as the guard says.
func (b *bulk) replace(id rowID, g guard, row any) {
	b.models = append(b.models, mongo.NewReplaceOneModel().SetFilter(id.filter(g)).SetReplacement(row))
}

// put changes the row where it is as the guard says, or makes it where there is
// none.
func (b *bulk) put(id rowID, g guard, change bson.D) {
	b.models = append(b.models, mongo.NewUpdateOneModel().SetFilter(id.filter(g)).SetUpdate(change).SetUpsert(true))
}

// drop removes the row where it is as the guard says.
func (b *bulk) drop(id rowID, g guard) {
	b.models = append(b.models, mongo.NewDeleteOneModel().SetFilter(id.filter(g)))
}

// changesAtOnce is how many changes one command holds. It gains little beyond
// that, and FerretDB 1 holds one of its 100 cursors for each.
const changesAtOnce = 50

// write makes the changes, in any order. A put that finds a row other than the
// guard says is not made.
func (t table) write(ctx context.Context, b *bulk) error {
	for models := range slices.Chunk(b.models, changesAtOnce) {
		err := t.bulkWrite(ctx, models)
		if mongo.IsDuplicateKeyError(err) {
			err = t.writeSingly(ctx, models)
		}
		if err != nil {
			return fault("write", err)
		}
	}
	return nil
}

func (t table) bulkWrite(ctx context.Context, models []mongo.WriteModel) error {
	ctx, cancel := t.bound(ctx)
	defer cancel()
	_, err := t.c.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	return err
}

// putTries is how often a put is made: somebody may make the same row at the
// same time, which is found out by a second try, or the guard refuses it.
const putTries = 3

// writeSingly makes changes some of which are perhaps made, or refused for
// good: not every server goes on behind one that fails.
func (t table) writeSingly(ctx context.Context, models []mongo.WriteModel) error {
	for i := range models {
		for range putTries {
			err := t.bulkWrite(ctx, models[i:i+1])
			if err == nil {
				break
			}
			if !mongo.IsDuplicateKeyError(err) {
				return err
			}
		}
	}
	return nil
}
