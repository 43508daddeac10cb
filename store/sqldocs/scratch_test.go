package sqldocs_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/acme/platform/store"
)

func BenchmarkScratch(b *testing.B) {
	path := "/tmp/sdbench/bench.db"
	_, statErr := os.Stat(path)
	docs, _ := reopen(b, path)
	if statErr != nil {
		fillBench(b, docs, "indexed", "tag,-when")
	}
	b.ResetTimer()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		q := store.Query{Sort: fields("-when"), Limit: 50, Filter: filter(fmt.Sprintf(`{"tag":"tag%02d","num":{"$gt":500}}`, i%100))}
		p, err := docs.Find(b.Context(), tenant, "indexed", q)
		if err != nil || len(p.Documents) != 50 {
			b.Fatal(len(p.Documents), err)
		}
	}
}
