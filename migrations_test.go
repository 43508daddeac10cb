package platform_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The migrations of a component are numbered from 1 without a gap, no number
// twice, and are the same in both dialects: a store refuses others when it starts.
func TestMigrationsAreNumbered(t *testing.T) {
	folders := map[string]map[string][]string{} // by component folder and dialect
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".sql") || strings.Contains(file, "testdata") {
			return err
		}
		dir, name := filepath.Split(filepath.ToSlash(file))
		component, dialect := filepath.Split(strings.TrimSuffix(dir, "/"))
		if folders[component] == nil {
			folders[component] = map[string][]string{}
		}
		folders[component][dialect] = append(folders[component][dialect], name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(folders) < 5 {
		t.Fatalf("only %d folders of migrations were found", len(folders))
	}
	for component, dialects := range folders {
		for dialect, names := range dialects {
			slices.Sort(names)
			for i, name := range names {
				if !strings.HasPrefix(name, fmt.Sprintf("%04d_", i+1)) {
					t.Errorf("%s%s/%s: want number %d here", component, dialect, name, i+1)
				}
			}
		}
		if len(dialects["sqlite"]) != len(dialects["postgres"]) {
			t.Errorf("%s: %d migrations for SQLite and %d for PostgreSQL", component, len(dialects["sqlite"]), len(dialects["postgres"]))
		}
	}
}
