package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// Two POSTs with one key: one record and one message, on each set-up.
func TestTwoPostsWithOneKey(t *testing.T) {
	everywhere(t, func(t *testing.T, _ setup, at place) {
		s := start(t, at)
		c := s.signUp("ann@example.com", "Acme")
		c.want(201, "POST", "/v1/data/collections", map[string]any{"name": "things"}, nil)
		for path, body := range map[string]any{
			"/v1/data/collections/things/records": map[string]any{"data": map[string]any{"n": 1}},
			"/v1/notify/messages": map[string]any{
				"to": map[string]any{"everyone": true}, "channels": []string{"inbox"}, "title": "Hello",
			},
		} {
			first := c.do("POST", path, body, "Idempotency-Key", `"8e03978e-40d5-43dd-bc93-6894a57f9324"`)
			second := c.do("POST", path, body, "Idempotency-Key", "8e03978e-40d5-43dd-bc93-6894a57f9324")
			if first.status != 201 || second.status != 201 || !bytes.Equal(first.body, second.body) ||
				first.header.Get("Idempotency-Replayed") != "" || second.header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("%s: %d %s, then %d %s %v", path, first.status, first.body, second.status, second.body, second.header)
			}
			if n := c.ours(path); n != 1 {
				t.Errorf("%s: there are %d", path, n)
			}
		}
	})
}

// Each POST says in the document how it is repeated.
func TestEveryPostSaysHowItIsRepeated(t *testing.T) {
	s := start(t, folder(t.TempDir()))
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	s.client("").want(200, "GET", "/openapi.json", nil, &doc)
	free := map[string]bool{}
	posts := 0
	for path, item := range doc.Paths {
		for method, raw := range item {
			var op struct {
				ID    string `json:"operationId"`
				Retry string `json:"x-retry"`
			}
			if json.Unmarshal(raw, &op) != nil { // parameters of the path
				continue
			}
			switch {
			case method != "post" && op.Retry != "", method == "post" && op.Retry != "key" && op.Retry != "free":
				t.Errorf("%s %s: x-retry is %q", method, path, op.Retry)
			case method == "post":
				posts++
				free[op.ID] = op.Retry == "free"
			}
		}
	}
	for id, isFree := range free {
		want := strings.HasSuffix(id, ".query") || strings.HasSuffix(id, ".count") || strings.HasSuffix(id, ".preview") ||
			strings.HasPrefix(id, "analytics.") || freeToRepeat[id]
		if isFree != want {
			t.Errorf("%s: free to repeat is %t", id, isFree)
		}
	}
	if posts < 20 {
		t.Errorf("only %d operations with POST", posts)
	}
}

// freeToRepeat are operations that change something and need no key: what they
// take works once, or what they do is the same the second time.
var freeToRepeat = map[string]bool{
	"auth.login": true, "auth.refresh": true, "auth.logout": true,
	// Questions.
	"authorize.check": true, "authorize.explain": true,
	// Requests of mails, which are counted and answered alike.
	"auth.signup.request": true, "auth.passwordReset.request": true, "auth.emailLink.request": true, "auth.emailCode.request": true,
	// Their tokens and codes, challenges and half-done sign-ins, which work once.
	"auth.signup.confirm": true, "auth.passwordReset.confirm": true, "auth.emailLink.confirm": true, "auth.emailCode.confirm": true,
	"auth.emails.verify": true, "auth.emails.restore": true, "auth.passkey.options": true, "auth.passkey.verify": true,
	"auth.factor.options": true, "auth.factor.enroll": true, "auth.factor.verify": true, "auth.stepUp": true, "auth.stepUp.options": true,
	"me.totp.begin": true, "me.totp.confirm": true, "me.passkeys.options": true, "me.passkeys.create": true, "me.recoveryCodes.create": true,
	// What sets a state.
	"me.emails.add": true, "me.emails.primary": true, "teams.members.add": true, "operator.users.import": true,
	"operator.organizations.suspend": true, "operator.organizations.resume": true, "operator.rules.disable": true, "operator.signingKeys.rotate": true,
}

// lossy stands between clients and a server. It loses the first answers to each
// key after the server has given them, and with one of them it kills the server:
// the effect is committed, and nobody has heard of it.
type lossy struct {
	t    *testing.T
	at   place
	loss int // answers lost for each key

	mu      sync.Mutex
	server  *server
	seen    map[string]int
	answers map[string]map[string]int // by key: what the server answered
	killAt  int                       // lost answers until the server is killed
	lost    int
	kills   int
}

func (l *lossy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	l.mu.Lock()
	s := l.server
	l.mu.Unlock()
	key := r.URL.Path + " " + r.Header.Get("Idempotency-Key")
	a, err := s.client(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")).try(
		context.WithoutCancel(r.Context()), r.Method, r.URL.Path, r.Header.Get("Content-Type"), bytes.NewReader(body),
		"Idempotency-Key", r.Header.Get("Idempotency-Key"))
	if err != nil { // the server was killed
		panic(http.ErrAbortHandler)
	}
	if a.status < 300 && l.lose(s, key, a) {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", a.header.Get("Content-Type"))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// lose notes an answer and reports whether it is lost.
func (l *lossy) lose(s *server, key string, a answer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.answers[key] == nil {
		l.answers[key] = map[string]int{}
	}
	l.answers[key][fmt.Sprintf("%d %s", a.status, a.body)]++
	l.seen[key]++
	if l.seen[key] > l.loss {
		return false
	}
	l.lost++
	if l.lost == l.killAt && l.server == s {
		s.kill()
		l.kills++
		l.server = start(l.t, l.at)
	}
	return true
}

// 64 clients repeat what they do not hear of: each effect happens once, all
// answers to a key are equal, and what is shown once is readable nowhere.
func TestRetriesThroughALossyProxy(t *testing.T) {
	everywhere(t, retriesThroughALossyProxy)
}

func retriesThroughALossyProxy(t *testing.T, set setup, at place) {
	s := start(t, at)
	owner := s.signUp("ann@example.com", "Acme")
	owner.want(201, "POST", "/v1/data/collections", map[string]any{"name": "things"}, nil)
	var me struct{ Organization platform.TenantID }
	owner.want(200, "GET", "/v1/me", nil, &me)

	clients := set.atMost(64, 16)
	l := &lossy{t: t, at: at, loss: 2, server: s, seen: map[string]int{}, answers: map[string]map[string]int{}, killAt: clients / 2}
	proxy := httptest.NewServer(l)
	defer proxy.Close()
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		secrets []string
	)
	for i := range clients {
		wg.Go(func() {
			c := &client{t: t, url: proxy.URL, token: owner.token, http: &http.Client{}}
			var path, text string
			switch i % 3 {
			case 0:
				path, text = "/v1/data/collections/things/records", fmt.Sprintf(`{"data":{"n":%d}}`, i)
			case 1:
				path, text = "/v1/api-keys", fmt.Sprintf(`{"name":"key %d","scopes":["data.*"]}`, i)
			case 2:
				path, text = "/v1/notify/messages", fmt.Sprintf(`{"to":{"everyone":true},"channels":["inbox"],"title":"message %d"}`, i)
			}
			a := c.insist(path, text, fmt.Sprintf("the-key-of-client-%d", i))
			if a.status != 201 {
				t.Errorf("%s: %d %s", path, a.status, a.body)
				return
			}
			var made struct{ Key string }
			_ = json.Unmarshal(a.body, &made)
			mu.Lock()
			defer mu.Unlock()
			if made.Key != "" {
				secrets = append(secrets, made.Key)
			}
		})
	}
	wg.Wait()
	if l.kills != 1 || l.lost != 2*clients {
		t.Errorf("%d answers lost, %d kills", l.lost, l.kills)
	}
	for key, answers := range l.answers {
		if len(answers) != 1 {
			t.Errorf("%s has %d different answers: %v", key, len(answers), answers)
		}
	}
	now := l.server.client(owner.token)
	for path, want := range map[string]int{
		"/v1/data/collections/things/records?limit=200": (clients + 2) / 3, "/v1/api-keys?limit=200": (clients + 1) / 3, "/v1/notify/messages?limit=200": clients / 3,
	} {
		if n := now.ours(path); n != want {
			t.Errorf("%s: %d effects, want %d", path, n, want)
		}
	}
	if len(secrets) != (clients+1)/3 {
		t.Errorf("%d secrets", len(secrets))
	}
	l.server.stop()
	checkNothingReadable(t, at, me.Organization, append(secrets, "the-key-of-client-"))
}

// ours is how many things a list has, but for the messages that rules made.
func (c *client) ours(path string) (n int) {
	c.t.Helper()
	var list struct{ Data []struct{ Rule string } }
	c.want(200, "GET", path, nil, &list)
	for _, one := range list.Data {
		if one.Rule == "" {
			n++
		}
	}
	return n
}

// insist repeats a POST until there is an answer that is none of trouble on the way.
func (c *client) insist(path, body, key string) answer {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		a, err := c.try(c.t.Context(), "POST", path, "application/json", strings.NewReader(body), "Idempotency-Key", key)
		running := err == nil && a.status == http.StatusConflict && bytes.Contains(a.body, []byte("idempotency_running"))
		if err == nil && !running && a.status != http.StatusTooManyRequests && a.status < 500 {
			return a
		}
		if time.Now().After(deadline) {
			c.t.Errorf("%s: %v %d %s", path, err, a.status, a.body)
			return a
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// checkNothingReadable looks for texts in the rows of the keys, and in the files
// of an embedded place.
func checkNothingReadable(t *testing.T, at place, tenant platform.TenantID, texts []string) {
	t.Helper()
	db, done := at.relational(t)
	rows := 0
	err := db.InTenant(t.Context(), tenant, func(ctx context.Context, tx store.Tx) error {
		found, err := tx.Query(ctx, `SELECT hash, request, answer, operation FROM idempotency_keys WHERE tenant = ?`, string(tenant))
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var hash, request, answer, operation []byte
			if err := found.Scan(&hash, &request, &answer, &operation); err != nil {
				return err
			}
			rows++
			for _, text := range texts {
				if bytes.Contains(bytes.Join([][]byte{hash, request, answer, operation}, nil), []byte(text)) {
					t.Errorf("%s is readable in the row of a key", text)
				}
			}
		}
		return found.Err()
	}, store.ReadOnly)
	done()
	if err != nil || rows < 10 {
		t.Errorf("%d rows, %v", rows, err)
	}
	if dir := at.of("--data"); dir != "" {
		files, _ := filepath.Glob(filepath.Join(dir, "acme.db*"))
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range texts {
				if bytes.Contains(raw, []byte(text)) {
					t.Errorf("%s is readable in %s", text, f)
				}
			}
		}
	}
}
