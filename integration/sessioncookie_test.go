package integration

import (
	"bufio"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// tab is a page of a browser behind a proxy that ends TLS: it keeps the session
// cookie, and says where it comes from.
type tab struct {
	*client
	header []string
	cookie string
}

func (s *server) tab() *tab {
	return &tab{client: s.client(""), header: []string{
		"X-Forwarded-Proto", "https", "X-Forwarded-For", "203.0.113.7", "Sec-Fetch-Site", "same-origin",
		"User-Agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0",
	}}
}

// ask sends a request with the cookie and keeps the one that comes back.
func (b *tab) ask(status int, method, path string, body, v any, header ...string) answer {
	b.t.Helper()
	header = slices.Concat(b.header, header)
	if b.cookie != "" {
		header = append(header, "Cookie", b.cookie)
	}
	a := b.do(method, path, body, header...)
	if a.status != status {
		b.t.Fatalf("%s %s: got %d %s, want %d", method, path, a.status, a.body, status)
	}
	if set := a.header.Get("Set-Cookie"); set != "" {
		b.cookie, _, _ = strings.Cut(set, ";")
		if strings.Contains(set, "Max-Age=0") {
			b.cookie = ""
		}
	}
	if v != nil {
		a.into(b.t, v)
	}
	return a
}

type sessionsPage struct{ Data []listedSession }

type listedSession struct {
	ID, Name, Address string
	Organizations     []string
	Current           bool
}

// TestBrowserSessions is a person at a laptop: signed in by a cookie, in two
// organizations, on one row, until it is ended from a phone.
func TestBrowserSessions(t *testing.T) { onRelational(t, browserSessions) }

func browserSessions(t *testing.T, _ setup, at place) {
	s := start(t, at, behindProxy...)
	b := s.tab()
	signUp := map[string]string{"email": "ann@example.com", "password": password, "name": "Ann", "organization": "Ann's", "session": "cookie"}
	if a := b.do("POST", "/v1/auth/signup", signUp, "X-Forwarded-Proto", "http", "X-Forwarded-For", "203.0.113.7"); a.status != http.StatusUnprocessableEntity ||
		!strings.Contains(string(a.body), `"insecure_origin"`) {
		t.Fatalf("over plain HTTP: %d %s", a.status, a.body)
	}
	var out struct {
		Organization struct{ ID string }
		Tokens       map[string]any
	}
	a := b.ask(http.StatusCreated, "POST", "/v1/auth/signup", signUp, &out)
	set := a.header.Get("Set-Cookie")
	for _, part := range []string{"__Host-", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax"} {
		if !strings.Contains(set, part) || strings.Contains(set, "Domain") {
			t.Errorf("%s is not in %s", part, set)
		}
	}
	if got := slices.Sorted(maps.Keys(out.Tokens)); !slices.Equal(got, []string{"organization", "session_id"}) {
		t.Errorf("the answer holds %v", got)
	}
	first := b.cookie
	b.ask(http.StatusOK, "GET", "/v1/me", nil, nil)

	// Pages of other sites change nothing with it, and read nothing.
	evil := []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}
	for _, call := range [][2]string{{"POST", "/v1/auth/logout"}, {"POST", "/v1/organizations"}, {"PATCH", "/v1/me"}, {"DELETE", "/v1/me/sessions"}} {
		b.ask(http.StatusForbidden, call[0], call[1], map[string]string{}, nil, evil...)
	}
	a = b.ask(http.StatusOK, "GET", "/v1/me", nil, nil, evil...)
	if a.header.Get("Access-Control-Allow-Origin")+a.header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("another origin may read: %v", a.header)
	}
	// A form signs nobody in.
	if a, err := b.try(t.Context(), "POST", "/v1/auth/login", "text/plain", strings.NewReader(`{"email":"eve@example.com","password":"x","session":"cookie"}`), evil...); err != nil || a.status != http.StatusUnsupportedMediaType {
		t.Errorf("a form: %d %s, %v", a.status, a.body, err)
	}
	var key struct{ Key string }
	b.ask(http.StatusCreated, "POST", "/v1/api-keys", map[string]any{"name": "ci", "scopes": []string{"*"}}, &key)
	if a := s.client("").do("POST", "/v1/data/collections", map[string]string{"name": "notes"}, append(evil, "X-API-Key", key.Key)...); a.status != http.StatusCreated {
		t.Errorf("a key is exempt: %d %s", a.status, a.body)
	}

	// A change of organization: a new value, the same row.
	var second struct{ ID string }
	b.ask(http.StatusCreated, "POST", "/v1/organizations", map[string]string{"name": "Second"}, &second)
	b.ask(http.StatusOK, "POST", "/v1/auth/switch", map[string]string{"organization": second.ID}, nil)
	if b.cookie == first || b.cookie == "" {
		t.Error("the cookie is the same after a change of organization")
	}
	var me struct{ Organization string }
	if b.ask(http.StatusOK, "GET", "/v1/me", nil, &me); me.Organization != second.ID {
		t.Errorf("in %s", me.Organization)
	}
	var page sessionsPage
	b.ask(http.StatusOK, "GET", "/v1/me/sessions", nil, &page)
	if len(page.Data) != 1 || page.Data[0].Name != "Firefox on Windows" || page.Data[0].Address != "203.0.113.7" || len(page.Data[0].Organizations) != 2 || !page.Data[0].Current {
		t.Errorf("one laptop is one row: %+v", page)
	}

	// A sign-in: a new session and value, the same laptop; one signs in where one
	// last was.
	before := b.cookie
	var in struct{ Organization string }
	logIn := map[string]string{"email": "ann@example.com", "password": password, "session": "cookie"}
	if b.ask(http.StatusOK, "POST", "/v1/auth/login", logIn, &in); in.Organization != second.ID || b.cookie == before {
		t.Errorf("signed in to %s, want %s", in.Organization, second.ID)
	}
	for _, old := range []string{first, before} {
		stale := *b
		stale.cookie = old
		stale.ask(http.StatusUnauthorized, "GET", "/v1/me", nil, nil)
	}

	// The limits of an organization are of its admins.
	var org struct {
		SessionIdle int64 `json:"session_idle"`
		SessionMax  int64 `json:"session_max"`
	}
	if b.ask(http.StatusOK, "PATCH", "/v1/organization", map[string]int{"session_idle": 1800, "session_max": 43200}, &org); org.SessionIdle != 1800 || org.SessionMax != 43200 {
		t.Errorf("limits %+v", org)
	}
	b.ask(http.StatusUnprocessableEntity, "PATCH", "/v1/organization", map[string]int{"session_idle": 1}, nil)

	// It outlives a restart, and the stream ends with it.
	s.kill()
	s = start(t, at, behindProxy...)
	b.client = s.client("")
	ended := b.follow()
	phone := s.logIn("ann@example.com")
	phone.want(http.StatusOK, "GET", "/v1/me/sessions", nil, &page)
	laptop := slices.IndexFunc(page.Data, func(x listedSession) bool { return x.Name == "Firefox on Windows" })
	if len(page.Data) != 2 || laptop < 0 {
		t.Fatalf("a laptop and a phone: %+v", page)
	}
	began := time.Now()
	phone.want(http.StatusNoContent, "DELETE", "/v1/me/sessions/"+page.Data[laptop].ID, nil, nil)
	b.ask(http.StatusUnauthorized, "GET", "/v1/me", nil, nil)
	select {
	case <-ended:
		t.Logf("the stream ended %v after the session", time.Since(began))
	case <-time.After(patience):
		t.Error("the stream goes on after the session")
	}

	// All of them.
	b.ask(http.StatusOK, "POST", "/v1/auth/login", logIn, nil)
	b.ask(http.StatusNoContent, "DELETE", "/v1/me/sessions", nil, nil)
	phone.want(http.StatusUnauthorized, "GET", "/v1/me", nil, nil)
	last := b.cookie
	b.ask(http.StatusNoContent, "DELETE", "/v1/me/sessions?current=true", nil, nil)
	if b.cookie != "" {
		t.Error("the browser keeps the cookie of an ended session")
	}
	b.cookie = last
	b.ask(http.StatusUnauthorized, "GET", "/v1/me", nil, nil)
	for _, secret := range []string{first, before, last} {
		_, secret, _ = strings.Cut(secret, "=")
		if strings.Contains(s.logged(), secret) {
			t.Error("the log has a cookie")
		}
	}
}

// follow opens a live stream with the cookie; the channel is closed with it.
func (b *tab) follow() <-chan struct{} {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+"/v1/notify/inbox/stream", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Cookie", b.cookie)
	resp, err := b.http.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.t.Fatalf("follow the inbox: %v, %v", resp, err)
	}
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() {
		b.t.Fatal("the stream says nothing")
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer resp.Body.Close()
		for lines.Scan() {
		}
	}()
	return ended
}

// TestRefreshInParallel has twenty requests refresh with one token: they get one
// successor. The token before it, shown again after the grace, ends the session.
func TestRefreshInParallel(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		s := start(t, at, "--sign-in-limit", "0")
		s.signUp("ann@example.com", "Ann's")
		var in tokens
		s.client("").want(http.StatusOK, "POST", "/v1/auth/login", map[string]string{"email": "ann@example.com", "password": password}, &in)
		var (
			wg   sync.WaitGroup
			mu   sync.Mutex
			next = map[string]int{}
		)
		for range 20 {
			wg.Go(func() {
				a, err := s.client("").try(t.Context(), "POST", "/v1/auth/refresh", "application/json", strings.NewReader(fmt.Sprintf(`{"refresh_token":%q}`, in.RefreshToken)))
				if err != nil || a.status != http.StatusOK {
					t.Errorf("refresh: %d %s, %v", a.status, a.body, err)
					return
				}
				var got tokens
				a.into(t, &got)
				mu.Lock()
				defer mu.Unlock()
				next[got.RefreshToken]++
			})
		}
		wg.Wait()
		if len(next) != 1 {
			t.Fatalf("%d successors of one token", len(next))
		}
		for token := range next {
			s.client("").want(http.StatusOK, "POST", "/v1/auth/refresh", map[string]string{"refresh_token": token}, nil)
		}
		// The first is no more the one before the present one.
		s.client("").want(http.StatusUnauthorized, "POST", "/v1/auth/refresh", map[string]string{"refresh_token": in.RefreshToken}, nil)
		s.client(in.AccessToken).want(http.StatusUnauthorized, "GET", "/v1/me", nil, nil)
	})
}
