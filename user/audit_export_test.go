package user_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// exportedLine is a line of an export, as somebody reads it who has nothing but
// docs/audit.md.
type exportedLine struct {
	Sequence   int64    `json:"sequence"`
	ID         string   `json:"id"`
	Time       string   `json:"time"`
	Actor      string   `json:"actor"`
	ActorKind  string   `json:"actor_kind"`
	Credential string   `json:"credential"`
	Action     string   `json:"action"`
	Target     string   `json:"target"`
	Outcome    string   `json:"outcome"`
	RequestID  string   `json:"request_id"`
	Client     string   `json:"client"`
	DetailText string   `json:"detail_text"`
	Erased     []string `json:"erased"`
	Salts      []string `json:"salts"`
	Previous   string   `json:"previous"`
	Hash       string   `json:"hash"`
}

// outsideHash computes the hash of a line as docs/audit.md says.
func outsideHash(t *testing.T, organization string, l exportedLine) string {
	t.Helper()
	array := func(list ...any) []byte {
		raw, err := json.Marshal(list)
		noError(t, err)
		return raw
	}
	at, err := time.Parse(time.RFC3339Nano, l.Time)
	noError(t, err)
	covered := []any{"audit.2", organization, l.Sequence, l.ID, at.UnixMicro(), l.ActorKind, l.Action, l.Outcome}
	for i, part := range [][]any{
		{"actor", l.Actor, l.Credential}, {"target", l.Target}, {"client", l.Client, l.RequestID}, {"detail", l.DetailText},
	} {
		commitment := l.Salts[i]
		if !strings.Contains(fmt.Sprint(l.Erased), fmt.Sprint(part[0])) {
			salt, err := hex.DecodeString(l.Salts[i])
			noError(t, err)
			h := hmac.New(sha256.New, salt)
			h.Write(array(part...))
			commitment = hex.EncodeToString(h.Sum(nil))
		}
		covered = append(covered, commitment)
	}
	sum := sha256.Sum256(array(append(covered, l.Previous)...))
	return "02" + hex.EncodeToString(sum[:])
}

// fetch is a request with its whole answer.
func fetch(t *testing.T, h http.Handler, credential user.Secret, path string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	req.Header.Set("Authorization", "Bearer "+string(credential))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// An export can be checked without the installation, over several answers that
// lead to each other, after an erasure too; a changed line is found.
func TestAuditExport(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	ben, _ := b.join(t, ann.p, "ben@example.com", "admin")
	home := platform.WithClient(t.Context(), netip.MustParseAddr("203.0.113.66"))
	_, err := b.UpdateOrganization(home, ben, user.OrganizationChange{Name: ptr("Other <&>")})
	noError(t, err)
	noError(t, b.EraseAudit(t.Context(), ben.Subject))
	noError(t, b.RecordMany(t.Context(), ann.p, "role.created", 1200)) // more than two batches
	b.ShortExport(1000)
	h := b.edge(t)
	path, previous, sequence, answers := "/v1/audit/export", "", int64(0), 0
	var lines []exportedLine
	for ; path != ""; answers++ {
		w := fetch(t, h, ann.Tokens.Access, path)
		if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-ndjson" || w.Header().Get("Cache-Control") != "private, no-store" {
			t.Fatalf("%d %v", w.Code, w.Header())
		}
		for text := range strings.Lines(w.Body.String()) {
			var l exportedLine
			noError(t, json.Unmarshal([]byte(text), &l))
			if sequence++; l.Sequence != sequence || l.Previous != previous || l.Hash != outsideHash(t, string(ann.p.Tenant), l) {
				t.Fatalf("line %d does not fit: %s", sequence, text)
			}
			previous = l.Hash
			lines = append(lines, l)
		}
		path = ""
		if link := w.Header().Get("Link"); link != "" {
			query, ok := strings.CutSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
			if !ok {
				t.Fatalf("the link is %s", link)
			}
			path = "/v1/audit/export" + query
		}
	}
	head, err := b.AuditEnd(t.Context(), ann.p)
	noError(t, err)
	// The first answer ends before the record of the export itself.
	if answers != 2 || sequence != head.Sequence-1 {
		t.Errorf("%d records in %d answers, and the head is at %d", sequence, answers, head.Sequence)
	}
	erased := 0
	for _, l := range lines {
		if l.Erased != nil {
			erased++
		}
		l.Target += "x"
		if !strings.Contains(fmt.Sprint(l.Erased), "target") && l.Hash == outsideHash(t, string(ann.p.Tenant), l) {
			t.Fatalf("a changed line %d fits", l.Sequence)
		}
	}
	if erased != 3 {
		t.Errorf("%d lines have erased parts", erased)
	}
	w := fetch(t, h, ann.Tokens.Access, "/v1/audit/export?format=csv&action=organization.*")
	rows, err := csv.NewReader(w.Body).ReadAll()
	if err != nil || len(rows) != 2 || rows[0][2] != "action" || rows[1][2] != "organization.renamed" {
		t.Errorf("%v, %v", rows, err)
	}
}

// Cells that a spreadsheet would compute are text; wrong parameters, and those who
// may not, are refused before anything is sent; an export that breaks off does not
// look whole.
func TestAuditExportRefuses(t *testing.T) {
	b := open(t)
	ann := b.signUp(t, "ann@example.com")
	viewer, _ := b.join(t, ann.p, "ben@example.com", "viewer")
	h := b.edge(t)
	_, err := b.CreateRole(platform.WithRequestID(t.Context(), `=HYPERLINK("x")`), ann.p, user.NewRole{Name: "editor", Permissions: []string{"data.records.read"}})
	noError(t, err)
	if text := fetch(t, h, ann.Tokens.Access, "/v1/audit/export?format=csv").Body.String(); !strings.Contains(text, `"'=HYPERLINK(`) {
		t.Errorf("a formula: %s", text)
	}
	for query, status := range map[string]int{
		"format=xml": 422, "after=-1": 422, "after=x": 422, "from=yesterday": 422, "action=*": 422, "outcome=fine": 422, "x=1": 422,
		"actor=a&actor=b": 422, "to=2026-01-01T00:00:00Z&from=2026-02-01T00:00:00Z": 422,
	} {
		if w := fetch(t, h, ann.Tokens.Access, "/v1/audit/export?"+query); w.Code != status || w.Header().Get("Content-Disposition") != "" {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
	tokens, err := b.Switch(t.Context(), viewer, viewer.Tenant)
	noError(t, err)
	if w := fetch(t, h, tokens.Access, "/v1/audit/export"); w.Code != 403 {
		t.Errorf("a viewer: %d", w.Code)
	}
	broken := fmt.Errorf("the client is gone")
	err = b.ExportAudit(t.Context(), ann.p, user.AuditExport{}, func(int64, bool) {}, func([]user.AuditEntry) error { return broken })
	if err != broken {
		t.Errorf("got %v", err)
	}
}
