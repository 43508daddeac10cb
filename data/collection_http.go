package data

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/internal/rest"
	"github.com/acme/platform/store/document"
)

type collectionBody struct {
	Name      string      `json:"name" doc:"A letter, then letters, digits, '_' and '-', at most 64"`
	Version   int64       `json:"version" doc:"Counts the changes of this definition"`
	CreatedAt time.Time   `json:"created_at"`
	UpdatedAt time.Time   `json:"updated_at"`
	Schema    rest.Object `json:"schema,omitempty" doc:"JSON Schema 2020-12 of a record's data"`
	Indexes   []indexBody `json:"indexes" nullable:"false"`
}

type indexBody struct {
	Fields []string `json:"fields" nullable:"false" doc:"Paths, each with '-' before it to order downwards; 1 to 8" example:"[\"genre\", \"-year\"]"`
	Unique bool     `json:"unique,omitempty" doc:"No two records may have the same values"`
}

type collectionOutput struct {
	ETag string `header:"ETag"`
	Body collectionBody
}

type createdCollection struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     collectionBody
}

type collectionName struct {
	Collection string `path:"collection" doc:"The collection's name"`
}

type createCollectionInput struct {
	Body struct {
		Name    string      `json:"name" pattern:"^[A-Za-z][A-Za-z0-9_-]{0,63}$" doc:"A letter, then letters, digits, '_' and '-', at most 64" example:"films"`
		Schema  rest.Object `json:"schema,omitempty" doc:"JSON Schema 2020-12; references must stay within it" example:"{\"properties\": {\"year\": {\"type\": \"integer\"}}}"`
		Indexes []indexBody `json:"indexes,omitempty" nullable:"false" doc:"At most 16"`
	}
}

type updateCollectionInput struct {
	Collection string `path:"collection" doc:"The collection's name"`
	IfMatch    string `header:"If-Match" doc:"The ETag of the collection that is meant"`
	Body       struct {
		Schema       rest.Object `json:"schema,omitempty" nullable:"true" doc:"The new schema; null removes it. Stored records are not checked unless check_records asks for it"`
		Indexes      []indexBody `json:"indexes,omitempty" nullable:"false" doc:"Replaces all indexes"`
		CheckRecords bool        `json:"check_records,omitempty" doc:"Refuse a schema that stored records do not fulfil"`
	}
}

type deleteCollectionInput struct {
	Collection string `path:"collection" doc:"The collection's name"`
	IfMatch    string `header:"If-Match" doc:"The ETag of the collection that is meant"`
}

type listCollectionsOutput struct {
	Body page.Output[collectionBody]
}

// maxCollectionBody leaves room for white space around a schema.
const maxCollectionBody = 4 * maxSchema

func (s *Service) routeCollections() {
	read, write := platform.Require(PermissionReadCollections), platform.Require(PermissionWriteCollections)
	rest.Handle(s.api, rest.Operation{
		ID: "data.collections.create", Method: http.MethodPost, Retry: platform.RetryWithKey, Path: collectionsPath, Access: write,
		Status: http.StatusCreated, MaxBody: maxCollectionBody, Summary: "Create a collection",
	}, s.createCollection)
	rest.Handle(s.api, rest.Operation{
		ID: "data.collections.list", Method: http.MethodGet, Path: collectionsPath, Access: read,
		Summary: "List the collections by name",
	}, s.listCollections)
	rest.Handle(s.api, rest.Operation{
		ID: "data.collections.get", Method: http.MethodGet, Path: collectionPath, Access: read,
		Summary: "Get a collection",
	}, s.getCollection)
	rest.Handle(s.api, rest.Operation{
		ID: "data.collections.update", Method: http.MethodPatch, Path: collectionPath, Access: write,
		MaxBody: maxCollectionBody, Summary: "Change a collection's schema or indexes",
		Description: "What the body does not name stays. A new schema holds for records that are written from then on.",
	}, s.updateCollection)
	rest.Handle(s.api, rest.Operation{
		ID: "data.collections.delete", Method: http.MethodDelete, Path: collectionPath, Access: write,
		Status: http.StatusNoContent, Summary: "Delete a collection with its records",
	}, s.deleteCollection)
}

func (s *Service) createCollection(ctx context.Context, in *createCollectionInput) (*createdCollection, error) {
	p, err := platform.PrincipalFrom(ctx)
	if err != nil {
		return nil, err
	}
	indexes, err := parseIndexes(in.Body.Indexes)
	if err != nil {
		return nil, err
	}
	c, err := s.CreateCollection(ctx, p, Collection{Name: in.Body.Name, Schema: json.RawMessage(in.Body.Schema), Indexes: indexes}, rest.IdempotencyKey(ctx))
	if err != nil {
		return nil, err
	}
	return &createdCollection{
		ETag: etag(c.Version), Location: collectionsPath + "/" + c.Name, Body: newCollectionBody(c),
	}, nil
}

func (s *Service) listCollections(ctx context.Context, in *page.Input) (*listCollectionsOutput, error) {
	p, err := platform.PrincipalFrom(ctx)
	if err != nil {
		return nil, err
	}
	const list = "data.collections"
	after, err := page.Key(list, 1, in.Cursor)
	if err != nil {
		return nil, err
	}
	all, err := s.Collections(ctx, p)
	if err != nil {
		return nil, err
	}
	if after != nil {
		all = slices.DeleteFunc(all, func(c Collection) bool { return c.Name <= after[0] })
	}
	rows, next := page.Cut(list, all, in.Limit, func(c Collection) []string { return []string{c.Name} })
	out := &listCollectionsOutput{Body: page.Output[collectionBody]{Data: []collectionBody{}, NextCursor: next}}
	for _, c := range rows {
		out.Body.Data = append(out.Body.Data, newCollectionBody(c))
	}
	return out, nil
}

func (s *Service) getCollection(ctx context.Context, in *collectionName) (*collectionOutput, error) {
	p, err := platform.PrincipalFrom(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.Collection(ctx, p, in.Collection)
	if err != nil {
		return nil, err
	}
	return newCollectionOutput(c), nil
}

func (s *Service) updateCollection(ctx context.Context, in *updateCollectionInput) (*collectionOutput, error) {
	p, err := platform.PrincipalFrom(ctx)
	if err != nil {
		return nil, err
	}
	change := CollectionChange{Schema: json.RawMessage(in.Body.Schema), CheckRecords: in.Body.CheckRecords}
	if change.Indexes, err = parseIndexes(in.Body.Indexes); err != nil {
		return nil, err
	}
	c, err := s.UpdateCollection(ctx, p, in.Collection, change, headerMatch(in.IfMatch))
	if err != nil {
		return nil, err
	}
	return newCollectionOutput(c), nil
}

func (s *Service) deleteCollection(ctx context.Context, in *deleteCollectionInput) (*struct{}, error) {
	p, err := platform.PrincipalFrom(ctx)
	if err != nil {
		return nil, err
	}
	return nil, s.DeleteCollection(ctx, p, in.Collection, headerMatch(in.IfMatch))
}

func headerMatch(value string) []int64 {
	if value == "" {
		return nil
	}
	return ifMatch([]string{value})
}

// parseIndexes returns nil for nil: an update tells it from an empty list.
func parseIndexes(bodies []indexBody) ([]Index, error) {
	if bodies == nil {
		return nil, nil
	}
	indexes := make([]Index, 0, len(bodies))
	for i, b := range bodies {
		ix := Index{Unique: b.Unique}
		for j, f := range b.Fields {
			parsed, err := document.ParseSort(f)
			if err != nil || len(parsed) != 1 {
				return nil, platform.Invalid(platform.Field{
					Path: fmt.Sprintf("/indexes/%d/fields/%d", i, j), Code: "path",
					Detail: "must be a path such as address.city, with '-' before it to order downwards",
				})
			}
			ix.Fields = append(ix.Fields, parsed[0])
		}
		indexes = append(indexes, ix)
	}
	return indexes, nil
}

func newCollectionOutput(c Collection) *collectionOutput {
	return &collectionOutput{ETag: etag(c.Version), Body: newCollectionBody(c)}
}

func newCollectionBody(c Collection) collectionBody {
	b := collectionBody{
		Name: c.Name, Version: c.Version, CreatedAt: c.CreatedAt.UTC(), UpdatedAt: c.UpdatedAt.UTC(),
		Schema: rest.Object(c.Schema), Indexes: []indexBody{},
	}
	for _, ix := range c.Indexes {
		wire := indexBody{Unique: ix.Unique}
		for _, f := range ix.Fields {
			wire.Fields = append(wire.Fields, f.String())
		}
		b.Indexes = append(b.Indexes, wire)
	}
	return b
}
