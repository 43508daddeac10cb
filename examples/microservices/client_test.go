package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

const password = "correct horse battery staple"

// client calls a process with one credential.
type client struct {
	t     *testing.T
	url   string
	token string
	http  *http.Client
}

// client calls the i-th gateway without a credential.
func (s *stack) client(i int) *client { return newClient(s.t, s.replicas[roleGateway][i].url) }

func newClient(t *testing.T, url string) *client {
	t.Helper()
	tr := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(tr.CloseIdleConnections)
	return &client{t: t, url: url, http: &http.Client{Transport: tr}}
}

// in is the same caller in a test below.
func (c *client) in(t *testing.T) *client {
	t.Helper()
	other := *c
	other.t = t
	return &other
}

// at is the same caller at another process.
func (c *client) at(url string) *client {
	other := *c
	other.url = url
	return &other
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// code is that of a problem.
func (a answer) code() string {
	var p struct{ Code string }
	_ = json.Unmarshal(a.body, &p)
	return p.Code
}

// try sends a JSON body (nil is none) and returns an error only where no whole
// answer came. Headers are names and values in turn.
func (c *client) try(method, path string, body any, header ...string) (answer, error) {
	var r io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, r)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: got}, err
}

// do is try that fails the test where no answer came.
func (c *client) do(method, path string, body any, header ...string) answer {
	c.t.Helper()
	a, err := c.try(method, path, body, header...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// want checks the status and decodes the answer into v, which may be nil.
func (c *client) want(status int, method, path string, body, v any, header ...string) {
	c.t.Helper()
	a := c.do(method, path, body, header...)
	if a.status != status {
		c.t.Fatalf("%s %s: got %d %s, want %d", method, path, a.status, a.body, status)
	}
	if v != nil {
		if err := json.Unmarshal(a.body, v); err != nil {
			c.t.Fatalf("decode %s: %v", a.body, err)
		}
	}
}

// signUp makes an organization and returns a client of its owner.
func (s *stack) signUp(email string) *client {
	s.t.Helper()
	var out struct {
		Tokens struct {
			AccessToken string `json:"access_token"`
		}
	}
	c := s.client(0)
	c.want(http.StatusCreated, "POST", "/v1/auth/signup", map[string]string{
		"email": email, "password": password, "name": "Owner", "organization": "Of " + email,
	}, &out)
	c.token = out.Tokens.AccessToken
	return c
}

type object = map[string]any

type page struct {
	Data []struct {
		ID, Title, Body string
		Client          string
		Action          string
		Data            object
	}
	Unread     int
	NextCursor string `json:"next_cursor"`
}
