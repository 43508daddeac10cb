package mongo_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
	"github.com/acme/platform/store/mongo"
)

// TestTenantsStayApart makes random changes and reads of tenants whose collections,
// ids and unique values are the same, and then looks at every row of the database.
// One name is the beginning of another one. The suite has a longer one of its kind.
func TestTenantsStayApart(t *testing.T) {
	name := database(t)
	docs := open(t, name)
	tenants := []platform.TenantID{"org_1", "org_11", "org-1"}
	versions := map[platform.TenantID]int64{}
	for _, of := range tenants {
		c, err := docs.PutCollection(t.Context(), of, store.Collection{
			Name: "c", Indexes: []store.Index{{Fields: fields("n")}, {Fields: fields("-n,u")}, {Fields: fields("u"), Unique: true}},
		}, event(of, "made."+string(of), "c"))
		if err != nil {
			t.Fatal(err)
		}
		versions[of] = c.Version
	}
	r := rand.New(rand.NewPCG(3, 4))
	have := map[platform.TenantID]map[string]bool{}
	check := func(of platform.TenantID, d store.Document) {
		t.Helper()
		var data struct{ Of platform.TenantID }
		if err := json.Unmarshal(d.Data, &data); err != nil || data.Of != of || !have[of][d.ID] {
			t.Fatalf("%s got %s %s", of, d.ID, d.Data)
		}
	}
	done := 0
	for done < 1000 {
		of := tenants[r.IntN(len(tenants))]
		if have[of] == nil {
			have[of] = map[string]bool{}
		}
		if r.IntN(2) == 0 {
			done += someChanges(t, docs, r, of, have[of])
			continue
		}
		q := store.Query{Limit: 100, Sort: fields([]string{"", "n", "-n", "-n,u", "u"}[r.IntN(5)])}
		q.Filter = filter([]string{`{}`, `{"n":{"$gte":2}}`, `{"n":1,"u":{"$gt":2}}`, `{"u":{"$lt":10}}`}[r.IntN(4)])
		page, err := docs.Find(t.Context(), of, "c", q)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Documents {
			check(of, d)
		}
		done += len(page.Documents) + 1
		n, err := docs.Count(t.Context(), of, "c", document.Filter{}, nil)
		if err != nil || n != int64(len(have[of])) {
			t.Fatalf("%s has %d documents, counted %d, %v", of, len(have[of]), n, err)
		}
		id := fmt.Sprint("d", r.IntN(12))
		if d, err := docs.Get(t.Context(), of, "c", id); err == nil {
			check(of, d)
		} else if have[of][id] {
			t.Fatalf("%s lost %s: %v", of, id, err)
		}
	}
	if err := docs.DropCollection(t.Context(), tenants[0], "c", 0); err != nil {
		t.Fatal(err)
	}
	for _, of := range tenants[1:] {
		if n, err := docs.Count(t.Context(), of, "c", filter(`{"n":{"$gte":0}}`), nil); err != nil || n != int64(len(have[of])) {
			t.Errorf("after another tenant's drop %s counts %d of %d, %v", of, n, len(have[of]), err)
		}
	}
	audit(t, docs, false)
	everyRowNamesATenant(t, name, tenants)
}

func someChanges(t *testing.T, docs *mongo.Documents, r *rand.Rand, of platform.TenantID, have map[string]bool) int {
	t.Helper()
	var changes []store.Change
	after := map[string]bool{}
	for id := range have {
		after[id] = true
	}
	for range 15 {
		i := r.IntN(12)
		id := fmt.Sprint("d", i)
		if after[id] && r.IntN(4) == 0 {
			changes = append(changes, change(store.OpDelete, id, ""))
			delete(after, id)
			continue
		}
		changes = append(changes, change(store.OpUpsert, id, fmt.Sprintf(`{"of":%q,"n":%d,"u":%d}`, of, r.IntN(5), i)))
		after[id] = true
	}
	if _, err := docs.Apply(t.Context(), of, "c", changes, nil); err != nil {
		t.Fatal(err)
	}
	clear(have)
	for id := range after {
		have[id] = true
	}
	return len(changes)
}

// everyRowNamesATenant looks at every row of the database.
func everyRowNamesATenant(t *testing.T, name string, tenants []platform.TenantID) {
	t.Helper()
	db := connect(t, teststack.Mongo(t)).Database(name)
	names, err := db.ListCollectionNames(t.Context(), bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, c := range names {
		if c == "leases" { // one for all tenants, by its nature
			continue
		}
		found, err := db.Collection(c).Find(t.Context(), bson.D{})
		if err != nil {
			t.Fatal(err)
		}
		var all []struct {
			ID string `bson:"_id"`
		}
		if err := found.All(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		for _, row := range all {
			rows++
			of, _, _ := strings.Cut(row.ID, "!")
			if of != string(tenants[0]) && of != string(tenants[1]) && of != string(tenants[2]) {
				t.Errorf("%s: %s names no tenant", c, row.ID)
			}
		}
	}
	if rows < 100 {
		t.Errorf("only %d rows were found", rows)
	}
}

// TestOnlyTablesReachTheServer holds every other file to rows that a scope has
// named: only those that are listed use the driver's collections.
func TestOnlyTablesReachTheServer(t *testing.T) {
	allowed := map[string]bool{
		"table.go": true, "bulk.go": true, // by rowID and rowRange
		"across.go": true,                                       // for all tenants, by name
		"mongo.go":  true, "config.go": true, "errors.go": true, // connect, and read errors
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") || allowed[f.Name()] {
			continue
		}
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, no := range []string{`mongo-driver/v2/mongo"`, `mongo-driver/v2/mongo/options"`, "everyTenant.outbox.", "rowID{string("} {
			if strings.Contains(string(text), no) {
				t.Errorf("%s uses %s", f.Name(), no)
			}
		}
	}
}
