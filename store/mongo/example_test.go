package mongo_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/mongo"
)

func ExampleNew() {
	err := titles(context.Background(), nil)
	fmt.Println(err)
	// Output: mongo: Config.Events must be set
}

// titles lists the films of an organization by year. It publishes what changes
// to a stream such as kafka's or sqlevents'.
func titles(ctx context.Context, events store.Events) error {
	docs, err := mongo.New(mongo.Config{URL: "mongodb://127.0.0.1:27017", Database: "acme", Events: events})
	if err != nil {
		return err
	}
	if err := docs.Start(ctx); err != nil {
		return err
	}
	defer func() { _ = docs.Stop(context.WithoutCancel(ctx)) }()

	byYear := []document.SortField{{Path: "year"}}
	_, err = docs.PutCollection(ctx, "org_1", store.Collection{Name: "movies", Indexes: []store.Index{{Fields: byYear}}})
	if err != nil {
		return err
	}
	_, err = docs.Apply(ctx, "org_1", "movies", []store.Change{
		{Op: store.OpInsert, ID: "m1", Data: json.RawMessage(`{"Title": "Modern Times", "year": 1936}`)},
		{Op: store.OpInsert, ID: "m2", Data: json.RawMessage(`{"Title": "Metropolis", "year": 1927}`)},
	}, nil)
	if err != nil {
		return err
	}
	page, err := docs.Find(ctx, "org_1", "movies", store.Query{Sort: byYear, Limit: 10})
	for _, doc := range page.Documents {
		fmt.Println(doc.ID, string(doc.Data))
	}
	return err
}
