package platform_test

import (
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

// withoutTenant are the tables that belong to no tenant, or to all, and why.
var withoutTenant = map[string]string{
	"user_accounts":         "a person is in many organizations",
	"user_passwords":        "it is the account's",
	"user_devices":          "they are the account's",
	"user_sessions":         "it is the account's: a device, in whatever organizations",
	"user_session_grants":   "it is the session's, and of a person without organization too",
	"user_passkeys":         "they are the account's",
	"user_challenges":       "a challenge is made before anybody is known",
	"user_totp":             "it is the account's",
	"user_recovery_codes":   "they are the account's",
	"user_pending_sign_ins": "it is of a person who has not signed in yet",
	"user_emails":           "they are the account's",
	"user_mail_tokens":      "a mail goes to a person, who need be in no organization",
	"user_audit_people":     "it leads a person to the records of all organizations that name them",
	"user_audit_erasures":   "a person is erased in all organizations",
	"user_operator_keys":    "operators run the installation and belong to no tenant",
	"user_signing_keys":     "one set signs for all",
	"outbox_heartbeat":      "the relays serve all tenants",
	"event_offsets":         "a group of consumers serves all tenants",
	"retention_leases":      "one replica removes what is old for all tenants",
	"schema_migrations":     "the tables' own history",
}

// tenantNotFirst are the tables with a tenant whose primary key begins with
// something else, and why.
var tenantNotFirst = map[string]string{
	"outbox":    "the relay empties it in one order for all tenants",
	"event_log": "consumers read it in one order for all tenants",
	"documents": "on SQLite rows are reached by seq; (tenant, collection, id) is unique beside it",
}

// acrossTenants are the statements on a tenant's table that name no tenant, by
// file and table, and the crossing that they are a part of; docs/crossings.md
// says why.
var acrossTenants = map[string]string{
	"notify/rule_failures.go notify_rule_failures": "notify.rule-failures",
	"notify/sealed.go notify_endpoint_secrets":     "notify.sealing",
	"notify/rule_failures.go notify_rules":         "notify.rule-failures", // joined by the failure's tenant
	"notify/rule_failures.go notify_builtin_rules": "notify.rule-failures", // the same
	"store/internal/sqltx/unserved.go outbox":      "sqlite.check",         // and postgres.check
	"store/outbox/remote.go outbox":                "outbox.relay",
	"store/outbox/move.go outbox":                  "outbox.relay",
	"store/outbox/stats.go outbox":                 "outbox.stats",
	"store/outbox/stats.go outbox_dead":            "outbox.stats",
	"store/queue/settle.go jobs":                   "queue.work",
	"store/queue/stats.go jobs":                    "queue.stats",
	"store/sqlevents/consume.go event_log":         "events.consume",
	"store/sqlevents/stats.go event_log":           "events.stats",
	"store/sqlevents/trim.go event_log":            "events.trim",
	"user/apikey_verify.go user_api_keys":          "user.api-key",
	"user/apikey_verify.go user_memberships":       "user.api-key", // joined by the key's tenant
	"user/apikey_verify.go user_organizations":     "user.api-key", // the same
	"user/factor_policy.go user_memberships":       "user.factors",
	"user/factor_policy.go user_organizations":     "user.factors",  // joined by the membership's tenant
	"user/cookie_verify.go user_memberships":       "user.sessions", // joined by the grant's organization
	"user/cookie_verify.go user_organizations":     "user.sessions", // the same
	"user/idempotency.go user_memberships":         "user.repeated",
	"user/invitation_accept.go user_invitations":   "user.invitation",
	"user/login.go user_memberships":               "user.sign-in",
	"user/login.go user_organizations":             "user.sign-in", // joined by the membership's tenant
}

// onlySQLite are the columns that PostgreSQL has no use for, and why.
var onlySQLite = map[string]string{
	"documents.seq":      "its rowid; there a row is reached by its key",
	"document_index.seq": "it leads to the rowid",
}

type table struct {
	columns []string
	key     []string
}

var (
	createTable = regexp.MustCompile(`(?is)CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)\s*\((.*?)\n\s*\)[^;]*;`)
	primaryKey  = regexp.MustCompile(`(?i)PRIMARY\s+KEY\s*\(([^)]*)\)`)
	columnLine  = regexp.MustCompile(`(?m)^\s*([a-z_]\w*)\s+(?:TEXT|INTEGER|BIGINT|BLOB|BYTEA|BOOLEAN|JSONB|SMALLINT|DOUBLE)`)
	inlineKey   = regexp.MustCompile(`(?mi)^\s*(\w+)\s[^\n]*PRIMARY\s+KEY`)
	sqlComment  = regexp.MustCompile(`--[^\n]*`)
)

// tables reads the tables of a dialect out of all migrations.
func tables(t *testing.T, dialect string) map[string]table {
	t.Helper()
	found := map[string]table{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".sql") || filepath.Base(filepath.Dir(file)) != dialect {
			return err
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, m := range createTable.FindAllStringSubmatch(sqlComment.ReplaceAllString(string(text), ""), -1) {
			var tab table
			for _, c := range columnLine.FindAllStringSubmatch(m[2], -1) {
				tab.columns = append(tab.columns, c[1])
			}
			if k := primaryKey.FindStringSubmatch(m[2]); k != nil {
				for _, c := range strings.Split(k[1], ",") {
					tab.key = append(tab.key, strings.TrimSpace(c))
				}
			} else if k := inlineKey.FindStringSubmatch(m[2]); k != nil {
				tab.key = []string{k[1]}
			}
			found[m[1]] = tab
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// A table without its tenant, or with it in the wrong place, is refused; both
// dialects have the same tables and columns.
func TestEveryTableHasItsTenant(t *testing.T) {
	all := map[string]map[string]table{"sqlite": tables(t, "sqlite"), "postgres": tables(t, "postgres")}
	if len(all["sqlite"]) < 20 {
		t.Fatalf("only %d tables were found", len(all["sqlite"]))
	}
	for dialect, found := range all {
		for name, tab := range found {
			switch {
			case !slices.Contains(tab.columns, "tenant"):
				if withoutTenant[name] == "" {
					t.Errorf("%s: table %s has no column tenant, and withoutTenant has no reason for it", dialect, name)
				}
			case len(tab.key) == 0 || tab.key[0] != "tenant":
				if tenantNotFirst[name] == "" {
					t.Errorf("%s: the primary key %v of %s does not begin with tenant", dialect, tab.key, name)
				}
			}
		}
	}
	for name, tab := range all["sqlite"] {
		a, b := slices.Sorted(slices.Values(tab.columns)), slices.Sorted(slices.Values(all["postgres"][name].columns))
		a = slices.DeleteFunc(a, func(column string) bool { return onlySQLite[name+"."+column] != "" })
		if !slices.Equal(a, b) {
			t.Errorf("table %s has the columns %v on SQLite and %v on PostgreSQL", name, a, b)
		}
	}
	for name := range all["postgres"] {
		if _, ok := all["sqlite"][name]; !ok {
			t.Errorf("table %s is there on PostgreSQL only", name)
		}
	}
}

// touches finds the tables that a statement reads or writes.
var touches = regexp.MustCompile(`(?i)\b(?:FROM|JOIN|INTO|UPDATE)\s+([a-z_]+)\b`)

// A statement on a tenant's table that does not name the tenant is refused,
// wherever it is written, unless it is a part of a crossing; in a transaction of
// one tenant none is.
func TestEveryStatementNamesItsTenant(t *testing.T) {
	names := map[string]bool{}
	for _, c := range crossings(t) {
		names[c.name] = true
	}
	tenants := map[string]bool{}
	for name, tab := range tables(t, "sqlite") {
		tenants[name] = slices.Contains(tab.columns, "tenant")
	}
	used := map[string]bool{}
	statements := 0
	for file, literals := range literals(t) {
		for _, lit := range literals {
			text := lit.text
			if !regexp.MustCompile(`(?i)^\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b`).MatchString(text) {
				continue
			}
			statements++
			for _, m := range touches.FindAllStringSubmatch(text, -1) {
				name := m[1]
				if !tenants[name] || namesTenant(text) {
					continue
				}
				key := filepath.ToSlash(file) + " " + name
				switch by := acrossTenants[key]; {
				case by == "":
					t.Errorf("%s: this statement on %s names no tenant:\n\t%s", file, name, text)
				case !names[by]:
					t.Errorf("acrossTenants has the crossing %q for %s, which there is not", by, key)
				case lit.inTenant:
					t.Errorf("%s: this statement on %s names no tenant and is run for one:\n\t%s", file, name, text)
				}
				used[key] = true
			}
		}
	}
	if statements < 100 {
		t.Fatalf("only %d statements were found", statements)
	}
	for key := range acrossTenants {
		if !used[key] {
			t.Errorf("acrossTenants has a crossing for %s, which has no such statement", key)
		}
	}
}

// namesTenant reports whether the tenant is a condition of the statement, or one
// of the columns that it inserts.
func namesTenant(text string) bool {
	if regexp.MustCompile(`(?is)^\s*INSERT\b`).MatchString(text) {
		return regexp.MustCompile(`(?is)^\s*INSERT\s+INTO\s+\w+\s*\([^)]*\btenant\b`).MatchString(text)
	}
	_, condition, ok := strings.Cut(strings.ToUpper(text), "WHERE")
	return ok && regexp.MustCompile(`\bTENANT\b`).MatchString(condition)
}

// text is a string of the program.
type text struct {
	text string
	// inTenant is set inside a function that is given a transaction of one
	// tenant.
	inTenant bool
}

// literals returns the texts of each file that is not a test, pieces that are
// joined by + as one.
func literals(t *testing.T) map[string][]text {
	t.Helper()
	found := map[string][]text{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") ||
			strings.HasPrefix(filepath.ToSlash(file), "store/storetest/") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			return err
		}
		found[file] = textsOf(parsed)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func textsOf(file *ast.File) (all []text) {
	var around []ast.Node
	ast.Inspect(file, func(n ast.Node) bool {
		if n == nil {
			around = around[:len(around)-1]
			return true
		}
		if e, ok := n.(ast.Expr); ok {
			if s, ok := joined(e); ok {
				all = append(all, text{s, inTenant(around)})
				return false
			}
		}
		around = append(around, n)
		return true
	})
	return all
}

// inTenant reports whether the innermost function around that is given a
// transaction is given a store.Tx.
func inTenant(around []ast.Node) bool {
	for _, n := range slices.Backward(around) {
		var params *ast.FieldList
		switch n := n.(type) {
		case *ast.FuncLit:
			params = n.Type.Params
		case *ast.FuncDecl:
			params = n.Type.Params
		default:
			continue
		}
		for _, p := range params.List {
			kind, ok := p.Type.(*ast.SelectorExpr)
			if !ok {
				continue
			}
			if of, ok := kind.X.(*ast.Ident); !ok || of.Name != "store" {
				continue
			}
			switch kind.Sel.Name {
			case "Tx":
				return true
			case "CrossTx", "Queries":
				return false
			}
		}
	}
	return false
}

// joined returns a string literal, or a sum that has one; what is not a literal
// in it is left out.
func joined(e ast.Expr) (text string, ok bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		left, a := joined(e.X)
		right, b := joined(e.Y)
		return left + right, a || b
	}
	return "", false
}

// The scanner sees what it is there to see.
func TestNamesTenant(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT id FROM jobs WHERE tenant = ? AND id = ?":       true,
		"SELECT tenant, id FROM jobs WHERE id = ?":              false,
		"SELECT count(*) FROM jobs":                             false,
		"INSERT INTO jobs (tenant, id) VALUES (?, ?)":           true,
		"INSERT INTO jobs (id) VALUES (?)":                      false,
		"UPDATE jobs SET tenant = ?":                            false,
		"DELETE FROM jobs WHERE (tenant, id) IN (SELECT 1)":     true,
		"UPDATE jobs SET state = 1 WHERE id = ? AND tenant = ?": true,
	} {
		if got := namesTenant(text); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// So it is told for whom a statement is run.
func TestInTenant(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", `package x
const outside = "outside"
func tenant(ctx context.Context, tx store.Tx) { tx.Exec(ctx, "tenant") }
func cross(ctx context.Context, tx store.CrossTx) { tx.Exec(ctx, "cross"+" too") }
func any(ctx context.Context, tx store.Queries) { tx.Exec(ctx, "any") }
func nested(ctx context.Context, tx store.Tx) {
	db.AcrossTenants(ctx, by, func(ctx context.Context, tx store.CrossTx) error { return tx.Exec(ctx, "inner") })
	db.InTenant(ctx, t, func(ctx context.Context, tx store.Tx) error { return each(func(n int) { tx.Exec(ctx, "inner tenant") }) })
}`, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []text{{"outside", false}, {"tenant", true}, {"cross too", false}, {"any", false}, {"inner", false}, {"inner tenant", true}}
	if got := textsOf(file); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
