package platform_test

import (
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
			if d.Name() == "testdata" || slash == "store/storetest" || slash == "internal/testdb" {
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
