package platform_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/acme/platform"

// rule says what the packages under dir may import besides the standard
// library: packages of this module by folder ("store/..." is a folder and all
// below it, "" the root), and of others by module path.
type rule struct {
	dir    string
	ours   []string
	theirs []string
}

// rules is the table of DESIGN.md; the first that fits a folder counts. There
// are four floors, and no arrow goes upwards: vocabulary, store, services
// beside the gateway, the assembly.
var rules = []rule{
	{dir: "examples/...", ours: []string{"..."}, theirs: []string{"..."}},
	{dir: "integration/...", ours: []string{"..."}, theirs: []string{"..."}},

	// Tink is some 90 packages: services see the port alone.
	{dir: "store/seal", ours: []string{"", "store", "internal/setting"}, theirs: []string{"github.com/tink-crypto/tink-go/v2"}},
	{dir: "store/storetest", ours: []string{"", "store", "store/document"}},
	{dir: "store/document", ours: []string{""}, theirs: []string{"github.com/tidwall/gjson"}},
	{dir: "store/internal/docchange", ours: []string{"", "store", "store/document"}},
	{dir: "store/internal/docquery", ours: []string{"", "store", "store/document"}},
	{dir: "store/internal/sqltx", ours: []string{"", "store"}, theirs: []string{"github.com/uptrace/bun"}},
	{
		dir: "store/sqlite", ours: []string{"", "store", "store/internal/..."},
		theirs: []string{"github.com/hashicorp/golang-lru/v2", "github.com/uptrace/bun", "golang.org/x/sys", "modernc.org/sqlite"},
	},
	{
		dir: "store/postgres", ours: []string{"", "store", "store/internal/...", "internal/..."},
		theirs: []string{"github.com/hashicorp/golang-lru/v2", "github.com/jackc/pgx/v5", "github.com/uptrace/bun"},
	},
	{
		dir: "store/mongo", ours: []string{"", "store", "store/document", "store/internal/...", "internal/..."},
		theirs: []string{"go.mongodb.org/mongo-driver/v2"},
	},
	{dir: "store/redis", ours: []string{"", "store", "internal/..."}, theirs: []string{"github.com/redis/go-redis/v9"}},
	{dir: "store/kafka", ours: []string{"", "store", "internal/..."}, theirs: []string{"github.com/segmentio/kafka-go"}},
	{dir: "store/memory", ours: []string{"", "store", "internal/..."}},
	{dir: "store/sqldocs", ours: []string{"", "store", "store/document", "store/internal/...", "internal/..."}},
	// The stream brings the relay of its own store, so that no host forgets it.
	{dir: "store/sqlevents", ours: []string{"", "store", "store/outbox", "store/internal/...", "internal/..."}},
	{dir: "store/outbox", ours: []string{"", "store", "store/internal/...", "internal/..."}},
	{dir: "store/consumer", ours: []string{"", "store", "internal/..."}},
	{dir: "store/queue", ours: []string{"", "store", "store/internal/...", "internal/..."}},
	{dir: "store/idempotency", ours: []string{"", "store", "store/internal/...", "store/retention", "internal/..."}},
	{dir: "store/quota", ours: []string{"", "store"}},
	{dir: "store/reseal", ours: []string{"", "store"}},
	{dir: "store/retention", ours: []string{"", "store", "internal/..."}},
	// The port speaks bun, and document is the meaning of what it carries. The
	// services that are given one store.Scans share its slots.
	{dir: "store", ours: []string{"", "store/document", "internal/fairshare"}, theirs: []string{"github.com/uptrace/bun"}},

	{dir: "internal/rest", ours: []string{"", "internal/problem", "internal/query"}, theirs: []string{"github.com/danielgtaylor/huma/v2"}},
	{dir: "internal/test/testdb", ours: []string{"", "store", "store/sqlite", "store/postgres", "internal/test/teststack"}},
	{dir: "internal/test/testseal", ours: []string{"store", "store/seal"}},
	{
		dir: "internal/test/teststack",
		theirs: []string{
			"github.com/jackc/pgx/v5", "github.com/moby/moby", "github.com/testcontainers/testcontainers-go",
			"go.uber.org/goleak", "github.com/Shopify/toxiproxy/v2", "github.com/rs/zerolog", "go.mongodb.org/mongo-driver/v2",
		},
	},
	{dir: "internal/...", ours: []string{""}},

	{
		dir: "user/passkey", ours: []string{"user"},
		theirs: []string{"github.com/go-webauthn/webauthn/protocol", "github.com/go-webauthn/webauthn/webauthn"},
	},
	{
		dir: "user", ours: []string{"", "store", "store/idempotency", "store/queue", "store/quota", "store/reseal", "store/retention", "internal/..."},
		theirs: []string{
			"github.com/casbin/casbin/v2", "github.com/go-jose/go-jose/v4", "github.com/hashicorp/golang-lru/v2",
			"github.com/pquerna/otp", "github.com/pquerna/otp/hotp", "github.com/pquerna/otp/totp",
			"github.com/uptrace/bun", "golang.org/x/crypto", "golang.org/x/text",
		},
	},
	{
		dir: "data", ours: []string{"", "store", "store/document", "store/idempotency", "internal/..."},
		theirs: []string{"github.com/hashicorp/golang-lru/v2", "github.com/santhosh-tekuri/jsonschema/v6", "golang.org/x/text"},
	},
	{
		dir: "analytics", ours: []string{"", "store", "store/document", "store/quota", "store/retention", "internal/..."},
		theirs: []string{"github.com/tidwall/gjson"},
	},
	{
		dir: "notify", ours: []string{"", "store", "store/document", "store/idempotency", "store/queue", "store/quota", "store/reseal", "store/retention", "internal/..."},
		theirs: []string{"github.com/uptrace/bun", "github.com/wneessen/go-mail", "github.com/hashicorp/golang-lru/v2"},
	},
	{
		dir: "gateway", ours: []string{"", "store", "internal/..."},
		theirs: []string{"github.com/go-jose/go-jose/v4", "github.com/sony/gobreaker/v2", "github.com/ulule/limiter/v3"},
	},
	{
		// The assembly. Drivers other than the embedded ones come in by openers.
		dir: "standard", ours: []string{
			"", "store", "store/sqlite", "store/memory", "store/sqldocs", "store/sqlevents", "store/outbox", "store/queue",
			"store/seal", "user", "user/passkey", "data", "analytics", "notify", "gateway", "internal/...",
		},
	},
	{dir: "platformtest/testclock"},
	{dir: "platformtest", ours: []string{"", "notify", "user", "standard", "store/seal", "platformtest/testclock"}},
	{dir: "standard/all", ours: []string{"store", "store/postgres", "store/mongo", "store/redis", "store/kafka"}},
	{dir: "."}, // the root: the standard library only
}

// testOnly are the folders that no rule allows, because they know drivers or
// servers: test files import them, which the rules do not look at, so that a
// service can be tested over a real database and yet be built without one.
var testOnly = []string{"internal/test/testdb", "internal/test/teststack", "internal/test/routes", "internal/test/testseal"}

func TestImports(t *testing.T) {
	packages := 0
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); file != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		packages++
		checkImports(t, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if packages < 10 {
		t.Fatalf("only %d files were found", packages)
	}
}

func checkImports(t *testing.T, file string) {
	t.Helper()
	dir := path.Dir(filepath.ToSlash(file))
	r, ok := ruleFor(dir)
	if !ok {
		t.Errorf("%s: no rule says what %s may import", file, dir)
		return
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Errorf("%s: %v", file, err)
		return
	}
	for _, spec := range parsed.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if !r.allows(p) {
			t.Errorf("%s: %s may not import %s", file, dir, p)
		}
	}
}

func ruleFor(dir string) (rule, bool) {
	for _, r := range rules {
		if within(dir, r.dir) {
			return r, true
		}
	}
	return rule{}, false
}

// within reports whether a folder or import path fits a pattern.
func within(p, pattern string) bool {
	if pattern == "..." {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return p == base || strings.HasPrefix(p, base+"/")
	}
	return p == pattern
}

func (r rule) allows(p string) bool {
	if p == module || strings.HasPrefix(p, module+"/") {
		rel := strings.TrimPrefix(strings.TrimPrefix(p, module), "/")
		if slices.Contains(testOnly, rel) {
			// One of them may stand on another.
			return slices.Contains(testOnly, r.dir) && slices.Contains(r.ours, rel)
		}
		for _, pattern := range r.ours {
			if within(rel, pattern) {
				return true
			}
		}
		return false
	}
	if first, _, _ := strings.Cut(p, "/"); !strings.Contains(first, ".") {
		return true // the standard library has no dot in its first element
	}
	for _, m := range r.theirs {
		if within(p, m) || within(p, m+"/...") {
			return true
		}
	}
	return false
}

// TestImportRules shows that the table refuses what it is there to refuse.
func TestImportRules(t *testing.T) {
	for _, c := range []struct {
		dir, path string
		allowed   bool
	}{
		{".", "net/http", true},
		{".", "github.com/uptrace/bun", false},
		{".", module + "/store", false},
		{"user", module + "/store", true},
		{"user", module + "/data", false},
		{"user", module + "/gateway", false},
		{"user", module + "/store/sqlite", false},
		{"gateway", module + "/user", false},
		{"store", module + "/store/sqlite", false},
		{"store/storetest", "github.com/stretchr/testify", false},
		{"store/sqlite", "modernc.org/sqlite/lib", true},
		{"examples/standalone", module + "/user", true},
		{"user", module + "/internal/test/testdb", false},
		{"internal/setting", module + "/store/sqlite", false},
	} {
		r, ok := ruleFor(c.dir)
		if !ok {
			t.Errorf("no rule for %s", c.dir)
			continue
		}
		if got := r.allows(c.path); got != c.allowed {
			t.Errorf("%s imports %s: allowed %v, want %v", c.dir, c.path, got, c.allowed)
		}
	}
	if _, ok := ruleFor("utils"); ok {
		t.Error("a new top-level folder must need a rule")
	}
}
