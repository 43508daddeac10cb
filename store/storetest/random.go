package storetest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/document"
)

// randomOperations is how many operations of several tenants over the same few
// names the random cases make.
const randomOperations = 10_000

// similarTenants have ids of which one is the beginning of another.
var similarTenants = []platform.TenantID{"org_1", "org_11", "org-1"}

// documentsAtRandom makes changes and reads of tenants whose collections, ids and
// unique values are the same, and looks at every document that comes back.
func documentsAtRandom(p *probe, s DocumentsStore) {
	have := map[platform.TenantID]map[string]bool{}
	for _, t := range similarTenants {
		have[t] = map[string]bool{}
		p.collection(s, t, "things",
			store.Index{Fields: []document.SortField{{Path: "n"}}},
			store.Index{Fields: []document.SortField{{Path: "n", Desc: true}, {Path: "u"}}},
			store.Index{Fields: []document.SortField{{Path: "u"}}, Unique: true})
	}
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // it is to be the same each time
	for done := 0; done < randomOperations; {
		of := similarTenants[r.IntN(len(similarTenants))]
		if r.IntN(2) == 0 {
			done += p.changeAtRandom(s, r, of, have[of])
			continue
		}
		q := store.Query{Limit: 100, Filter: p.filter([]string{"", `{"n":{"$gte":2}}`, `{"n":1,"u":{"$gt":2}}`, `{"u":{"$lt":10}}`}[r.IntN(4)])}
		if sort := []string{"", "n", "-n", "-n,u", "u"}[r.IntN(5)]; sort != "" {
			var err error
			q.Sort, err = document.ParseSort(sort)
			p.must(err)
		}
		page, err := s.Find(p.ctx, of, "things", q)
		p.must(err)
		for _, d := range page.Documents {
			p.own(d, of, have[of])
		}
		done += len(page.Documents) + 2
		if n, err := s.Count(p.ctx, of, "things", document.Filter{}, nil); err != nil || n != int64(len(have[of])) {
			p.fatalf("%s has %d documents, counted %d, %v", of, len(have[of]), n, err)
		}
		id := fmt.Sprint("d", r.IntN(12))
		if d, err := s.Get(p.ctx, of, "things", id); err == nil {
			p.own(d, of, have[of])
		} else if have[of][id] {
			p.fatalf("%s lost %s: %v", of, id, err)
		}
	}
	p.must(s.DropCollection(p.ctx, similarTenants[0], "things", 0))
	for _, of := range similarTenants[1:] {
		if n, err := s.Count(p.ctx, of, "things", p.filter(`{"n":{"$gte":0}}`), nil); err != nil || n != int64(len(have[of])) {
			p.errorf("after another tenant's drop %s counts %d of %d, %v", of, n, len(have[of]), err)
		}
	}
}

// own checks that a document is the tenant's, and one that it has.
func (p *probe) own(d store.Document, of platform.TenantID, have map[string]bool) {
	var data struct {
		Of platform.TenantID `json:"of"`
	}
	if err := json.Unmarshal(d.Data, &data); err != nil || data.Of != of || !have[d.ID] {
		p.fatalf("%s got %s %s", of, d.ID, d.Data)
	}
}

// changeAtRandom makes some changes in one call and notes which ids there then
// are. It returns how many changes it made.
func (p *probe) changeAtRandom(s DocumentsStore, r *rand.Rand, of platform.TenantID, have map[string]bool) int {
	var changes []store.Change
	for range 15 {
		i := r.IntN(12)
		id := fmt.Sprint("d", i)
		if have[id] && r.IntN(4) == 0 {
			changes = append(changes, store.Change{Op: store.OpDelete, ID: id})
			delete(have, id)
			continue
		}
		changes = append(changes, store.Change{Op: store.OpUpsert, ID: id, Data: fmt.Appendf(nil, `{"of":%q,"n":%d,"u":%d}`, of, r.IntN(5), i)})
		have[id] = true
	}
	_, err := s.Apply(p.ctx, of, "things", changes, nil)
	p.must(err)
	return len(changes)
}

// cacheAtRandom compares a cache with a map, over tenants and keys that could be
// taken for one another.
func cacheAtRandom(p *probe, s CacheStore) {
	type place struct {
		tenant platform.TenantID
		key    string
	}
	tenants := append([]platform.TenantID{platform.NoTenant, "a", "a-b", "ab"}, similarTenants...)
	keys := []string{"k", ":k", "b:k", "1:k", "{a}", "org_1:k"}
	values, counts := map[place]string{}, map[place]int64{}
	r := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // it is to be the same each time
	for i := range randomOperations {
		at := place{tenants[r.IntN(len(tenants))], keys[r.IntN(len(keys))]}
		value := fmt.Sprintf("%s/%s/%d", at.tenant, at.key, i)
		switch r.IntN(6) {
		case 0:
			p.must(s.Set(p.ctx, at.tenant, at.key, []byte(value), time.Hour))
			values[at] = value
		case 1:
			did, err := s.SetIfAbsent(p.ctx, at.tenant, at.key, []byte(value), time.Hour)
			p.must(err)
			if did != (values[at] == "") {
				p.fatalf("SetIfAbsent on %v said %v", at, did)
			}
			if did {
				values[at] = value
			}
		case 2:
			p.must(s.Delete(p.ctx, at.tenant, at.key, "n:"+at.key))
			delete(values, at)
			delete(counts, at)
		case 3:
			counts[at] += int64(i)
			n, _, err := s.Increment(p.ctx, at.tenant, "n:"+at.key, int64(i), time.Hour)
			p.must(err)
			if n != counts[at] {
				p.fatalf("%v counts %d, want %d", at, n, counts[at])
			}
		default:
			got, _, err := s.Get(p.ctx, at.tenant, at.key)
			p.must(err)
			if string(got) != values[at] {
				p.fatalf("%v holds %q, want %q", at, got, values[at])
			}
			if len(got) > 0 && !strings.HasPrefix(string(got), string(at.tenant)+"/") {
				p.fatalf("%v holds another tenant's %q", at, got)
			}
		}
	}
}
