package data

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/acme/platform"
)

const (
	// maxSchema is how large a schema may be, in bytes without white space.
	maxSchema = 64 << 10
	// maxSchemas is how many compiled schemas a Service keeps.
	maxSchemas = 512
	// maxFields is how many faults of one record are told.
	maxFields = 20

	dialect = "https://json-schema.org/draft/2020-12/schema"
	// schemaBase is where a schema stands for its own references. Nothing is
	// ever fetched; ".invalid" (RFC 2606) says so to whoever reads a message.
	schemaBase = "https://schema.invalid/"
)

// schema is a compiled JSON Schema. One validation runs at a time, so that a
// tenant whose schema is slow waits for itself only.
type schema struct {
	raw json.RawMessage

	mu       sync.Mutex
	meter    *meter
	gates    *gates
	compiled *jsonschema.Schema
}

// noLoader refuses to load what a schema refers to: neither files nor the
// network are a tenant's business.
type noLoader struct{}

func (noLoader) Load(string) (any, error) {
	return nil, errors.New("only references within the schema are followed")
}

// compileSchema compiles a schema that [compactSchema] returned. Errors are
// [platform.KindInvalid] and point into the schema, under /schema.
func compileSchema(raw json.RawMessage) (_ *schema, err error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("data: decode schema: %w", err)
	}
	if f := checkReferences(doc, "/schema"); f != nil {
		return nil, platform.Invalid(*f)
	}
	m := &meter{left: compilationBudget}
	defer m.caught(&err, "/schema", "compiling this schema takes too long: it has too many patterns")
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(m.compile)
	if err := c.AddResource(schemaBase, doc); err != nil {
		return nil, schemaFault(err)
	}
	compiled, err := c.Compile(schemaBase)
	if err != nil {
		return nil, schemaFault(err)
	}
	return &schema{raw: raw, meter: m, gates: m.close(compiled), compiled: compiled}, nil
}

// compactSchema checks the form of a schema and returns it without white
// space; null and nothing at all are nil.
func compactSchema(raw json.RawMessage) (json.RawMessage, error) {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	s := scanner{in: raw, anyKey: true}
	if err := s.object("/schema"); err != nil {
		return nil, err
	}
	if s.space(); s.pos != len(raw) {
		return nil, s.malformed("text follows the value")
	}
	if len(s.out) > maxSchema {
		return nil, platform.Invalid(platform.Field{
			Path: "/schema", Code: "too_large", Detail: fmt.Sprintf("a schema may have %d bytes", maxSchema),
		})
	}
	return s.out, nil
}

// checkReferences finds the first reference that leaves the schema, and the
// first dialect that is not ours.
func checkReferences(v any, at string) *platform.Field {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			if f := checkReferences(e, fmt.Sprintf("%s/%d", at, i)); f != nil {
				return f
			}
		}
	case map[string]any:
		for _, k := range sortedKeys(v) {
			here := at + "/" + escapePointer(k)
			switch k {
			case "const", "default", "enum", "examples":
				continue // values, not schemas
			case "$ref", "$dynamicRef":
				if s, ok := v[k].(string); ok && !strings.HasPrefix(s, "#") {
					return &platform.Field{Path: here, Code: "reference", Detail: "a reference must stay within the schema and begin with '#'"}
				}
			case "$schema":
				if s, ok := v[k].(string); ok && strings.TrimSuffix(s, "#") != dialect {
					return &platform.Field{Path: here, Code: "dialect", Detail: "the dialect must be " + dialect}
				}
			}
			if f := checkReferences(v[k], here); f != nil {
				return f
			}
		}
	}
	return nil
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// validate checks a record's data; the pointers of the faults begin with base.
func (s *schema) validate(data json.RawMessage, base string) (err error) {
	if s == nil {
		return nil
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("data: decode record: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meter.left = validationBudget
	defer s.meter.caught(&err, orRoot(base), "checking this against the collection's schema takes too long")
	s.meter.spend(s.gates.visit(s.compiled))
	err = s.compiled.Validate(doc)
	var invalid *jsonschema.ValidationError
	if errors.As(err, &invalid) {
		return platform.Invalid(faults(invalid, base)...)
	}
	return err
}

// schemas keeps compiled schemas.
type schemas struct {
	cache *lru.Cache[schemaKey, *schema]
}

type schemaKey struct {
	tenant     platform.TenantID
	collection string
	version    int64
}

func newSchemas() (schemas, error) {
	cache, err := lru.New[schemaKey, *schema](maxSchemas)
	return schemas{cache}, err
}

// of returns the compiled schema of a collection, or nil where it has none.
func (ss schemas) of(tenant platform.TenantID, c *Collection) (*schema, error) {
	if len(c.Schema) == 0 {
		return nil, nil
	}
	key := schemaKey{tenant, c.Name, c.Version}
	// A collection that was dropped and made again has its versions again;
	// only the text tells the two apart.
	if s, ok := ss.cache.Get(key); ok && bytes.Equal(s.raw, c.Schema) {
		return s, nil
	}
	s, err := compileSchema(c.Schema)
	if err != nil {
		return nil, fmt.Errorf("data: the stored schema of a collection: %w", internal(err))
	}
	ss.cache.Add(key, s)
	return s, nil
}

// internal takes from an error the kind that would make it the caller's.
func internal(err error) error { return errors.New(err.Error()) }
