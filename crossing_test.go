package platform_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/internal/test/testseal"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store/idempotency"
	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/store/sqlevents"
	"github.com/acme/platform/user"
)

// crossing is a token that a part of the module takes; see store.Crossing.
type crossing struct{ name, reason, file string }

// crossings finds where tokens are taken: calls of Grant with two constants.
func crossings(t *testing.T) []crossing {
	t.Helper()
	var all []crossing
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		slash := filepath.ToSlash(file)
		if d.IsDir() {
			if d.Name() == "testdata" || slash == "store/storetest" || slash == "internal/test/testdb" {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); !ok || f.Sel.Name != "Grant" {
				return true
			}
			c := crossing{file: slash}
			if len(call.Args) == 2 {
				c.name, c.reason = literal(call.Args[0]), literal(call.Args[1])
			}
			all = append(all, c)
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b crossing) int { return strings.Compare(a.name+" "+a.file, b.name+" "+b.file) })
	return all
}

func literal(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	text, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return text
}

// Each crossing of the module has a name of its own and a reason, and stands in
// docs/crossings.md, so that a reviewer sees a new one.
func TestCrossingsAreListed(t *testing.T) {
	all := crossings(t)
	if len(all) < 20 {
		t.Fatalf("only %d crossings were found", len(all))
	}
	var table strings.Builder
	table.WriteString("| crossing | it … | taken in |\n|---|---|---|\n")
	for i, c := range all {
		if !regexp.MustCompile(`^[a-z]+\.[a-z-]+$`).MatchString(c.name) || c.reason == "" {
			t.Errorf("%s: Grant needs two literals here, a name such as \"user.sign-in\" and a reason: %q, %q", c.file, c.name, c.reason)
		}
		if i > 0 && all[i-1].name == c.name {
			t.Errorf("%s and %s take a crossing of the same name %s", all[i-1].file, c.file, c.name)
		}
		fmt.Fprintf(&table, "| `%s` | %s | `%s` |\n", c.name, c.reason, c.file)
	}
	page, err := os.ReadFile("docs/crossings.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, listed, _ := strings.Cut(string(page), "\n| "); "| "+listed != table.String() {
		t.Errorf("docs/crossings.md must end with this table:\n\n%s", table.String())
	}
}

// nobody is a directory without people.
type nobody struct{}

func (nobody) Recipients(context.Context, platform.TenantID, notify.Audience) ([]notify.Recipient, error) {
	return nil, nil
}

// Every token is handed out when the platform is assembled: before it starts, its
// store lists all who can cross tenants.
func TestAnAssembledPlatformListsItsCrossings(t *testing.T) {
	db := testdb.New(t)
	events, err := sqlevents.New(sqlevents.Config{DB: db}) // with its relay
	ok(t, err)
	jobs, err := queue.New(queue.Config{DB: db})
	ok(t, err)
	_, err = idempotency.New(idempotency.Config{DB: db})
	ok(t, err)
	_, err = user.New(user.Config{DB: db, Sealer: testseal.New(t), Issuer: "https://api.example.com", Cache: memory.NewCache(1 << 20)})
	ok(t, err)
	_, err = notify.New(notify.Config{DB: db, Sealer: testseal.New(t), Events: events, Queue: jobs, Directory: nobody{}})
	ok(t, err)
	_, err = analytics.New(analytics.Config{DB: db})
	ok(t, err)

	var want, got []string
	for _, c := range crossings(t) {
		if !strings.HasPrefix(c.name, "postgres.") {
			want = append(want, c.name+": "+c.reason)
		}
	}
	for _, c := range db.Crossings().List() {
		got = append(got, c.Name()+": "+c.Reason())
	}
	if !slices.Equal(got, want) {
		t.Errorf("the store lists\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
