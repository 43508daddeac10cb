package mongo

import (
	"context"
	"errors"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/acme/platform"
)

// acrossTenants is what the relay and the sweeper see, who work for all
// tenants. No call of a tenant uses it. It reads names and tokens; what is then
// done to a row is done in the scope of its tenant.
type acrossTenants struct {
	heads, documents, parts, outbox, dropped, leases, dead table
}

// prepare makes the indexes that find leftovers. They hold nothing but those.
func (a acrossTenants) prepare(ctx context.Context) error {
	for _, x := range []struct {
		of    table
		field string
	}{{a.heads, "pending"}, {a.heads, "building"}, {a.documents, "shell"}} {
		_, err := x.of.c.Indexes().CreateOne(ctx, mongo.IndexModel{
			Keys: bson.D{{Key: x.field, Value: 1}}, Options: options.Index().SetSparse(true),
		})
		if err != nil {
			return fault("prepare", err)
		}
	}
	return nil
}

// scopeOf returns the tenant that an _id begins with.
func scopeOf(id string) scope {
	tenant, _, _ := strings.Cut(id, separator)
	return scope{platform.TenantID(tenant)}
}

// sweepBatch is how many leftovers are looked at at once.
const sweepBatch = 500

// pending returns the heads, by _id, whose commits may not be carried out.
func (a acrossTenants) pending(ctx context.Context) (map[string]*head, error) {
	return a.findHeads(ctx, bson.D{{Key: "pending", Value: true}})
}

// building returns the heads, by _id, of which an index is being built.
func (a acrossTenants) building(ctx context.Context) (map[string]*head, error) {
	return a.findHeads(ctx, bson.D{{Key: "building", Value: true}})
}

func (a acrossTenants) findHeads(ctx context.Context, filter bson.D) (map[string]*head, error) {
	out := make(map[string]*head)
	err := a.heads.find(ctx, filter, options.Find().SetLimit(sweepBatch), func(raw bson.Raw) (bool, error) {
		var h head
		err := bson.Unmarshal(raw, &h)
		out[idOf(raw)] = &h
		return true, fault("decode", err)
	})
	return out, err
}

// leftover is a row of any tenant.
type leftover[R any] struct {
	id  string
	row R
}

// leftovers returns rows that meet a filter.
func leftovers[R any](ctx context.Context, t table, filter bson.D) ([]leftover[R], error) {
	var all []leftover[R]
	err := t.find(ctx, filter, options.Find().SetLimit(sweepBatch), func(raw bson.Raw) (bool, error) {
		l := leftover[R]{id: idOf(raw)}
		err := bson.Unmarshal(raw, &l.row)
		all = append(all, l)
		return true, fault("decode", err)
	})
	return all, err
}

// outboxRows shows the rows after one of any tenant and up to another one, in
// the order of their ids; "" is no end.
func (a acrossTenants) outboxRows(ctx context.Context, from, to string, limit int, see func(id string, row *outboxRow) (bool, error)) error {
	bounds := bson.D{{Key: "$gt", Value: from}}
	if to != "" {
		bounds = append(bounds, bson.E{Key: "$lte", Value: to})
	}
	opts := options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit))
	return a.outbox.find(ctx, bson.D{{Key: "_id", Value: bounds}}, opts, func(raw bson.Raw) (bool, error) {
		var row outboxRow
		if err := bson.Unmarshal(raw, &row); err != nil {
			return false, fault("decode", err)
		}
		return see(idOf(raw), &row)
	})
}

// leaseRow says who relays and sweeps. Beat is new with every sign of life.
type leaseRow struct {
	Owner string `bson:"owner"`
	Beat  int64  `bson:"beat"`
}

const leaseID = "relay"

func (a acrossTenants) lease(ctx context.Context) (leaseRow, error) {
	ctx, cancel := a.leases.bound(ctx)
	defer cancel()
	var row leaseRow
	err := a.leases.c.FindOne(ctx, bson.D{{Key: "_id", Value: leaseID}}).Decode(&row)
	if errors.Is(err, mongo.ErrNoDocuments) {
		_, err = a.leases.c.InsertOne(ctx, bson.D{{Key: "_id", Value: leaseID}, {Key: "owner", Value: ""}, {Key: "beat", Value: int64(0)}})
		if mongo.IsDuplicateKeyError(err) {
			return a.lease(ctx)
		}
	}
	return row, fault("read the lease", err)
}

// swapLease makes next the lease where it is still was.
func (a acrossTenants) swapLease(ctx context.Context, was, next leaseRow) (bool, error) {
	ctx, cancel := a.leases.bound(ctx)
	defer cancel()
	res, err := a.leases.c.ReplaceOne(ctx, bson.D{
		{Key: "_id", Value: leaseID}, {Key: "owner", Value: was.Owner}, {Key: "beat", Value: was.Beat},
	}, next)
	if err != nil {
		return false, fault("take the lease", err)
	}
	return res.MatchedCount == 1, nil
}

// deadRow is an event that no stream takes.
type deadRow struct {
	Event eventRow `bson:"event"`
	Cause string   `bson:"cause"`
	Died  int64    `bson:"died"`
}

func (a acrossTenants) bury(ctx context.Context, id string, row deadRow) error {
	ctx, cancel := a.dead.bound(ctx)
	defer cancel()
	_, err := a.dead.c.UpdateOne(ctx, bson.D{{Key: "_id", Value: id}}, bson.D{{Key: "$set", Value: row}}, options.UpdateOne().SetUpsert(true))
	return fault("set aside", err)
}

func (a acrossTenants) trimDead(ctx context.Context, before int64) error {
	ctx, cancel := a.dead.bound(ctx)
	defer cancel()
	_, err := a.dead.c.DeleteMany(ctx, bson.D{{Key: "died", Value: bson.D{{Key: "$lt", Value: before}}}})
	return fault("trim", err)
}
