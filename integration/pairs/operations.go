package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
)

// operation is something that is measured.
type operation struct {
	name     string
	requests int // of one run
	request  func(context.Context, *server) error
}

const (
	collection = "/v1/data/collections/things"
	seeded     = 5000 // records before the first run
)

var operations = []operation{
	{"create", 4000, func(ctx context.Context, s *server) error {
		return s.call(ctx, http.MethodPost, collection+"/records", thing(s.number.Add(1)), nil)
	}},
	{"read", 15000, func(ctx context.Context, s *server) error {
		return s.call(ctx, http.MethodGet, fmt.Sprintf("%s/records/r%d", collection, rand.IntN(seeded)), nil, nil)
	}},
	{"list", 1500, func(ctx context.Context, s *server) error {
		return s.call(ctx, http.MethodGet, fmt.Sprintf("%s/records?filter=%s&sort=-when&limit=50", collection, url.QueryEscape(fmt.Sprintf(`{"tag":"t%d"}`, rand.IntN(20)))), nil, nil)
	}},
	{"ingest", 300, func(ctx context.Context, s *server) error {
		return s.call(ctx, http.MethodPost, "/v1/analytics/events", s.events(100), nil)
	}},
	{"event", 4000, func(ctx context.Context, s *server) error {
		return s.call(ctx, http.MethodPost, "/v1/analytics/events", s.events(1), nil)
	}},
}

// thing is the body that creates a record of some 200 bytes.
func thing(n int64) []byte {
	return fmt.Appendf(nil, `{"data":{"tag":"t%d","when":%d,"title":"A thing that somebody made","text":"%0120d"}}`, n%20, n, n)
}

func (s *server) events(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"events":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"e%d","name":"watched","user":"u%d","time":"2026-02-03T10:00:00Z","properties":{"film":"f%d"}}`,
			s.number.Add(1), rand.IntN(100), rand.IntN(50))
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// prepare signs up and makes a collection with an index and some records.
func (s *server) prepare(ctx context.Context) error {
	var signedUp struct {
		Tokens struct {
			Access string `json:"access_token"`
		} `json:"tokens"`
	}
	if err := s.call(ctx, http.MethodPost, "/v1/auth/signup",
		[]byte(`{"email":"ann@example.com","password":"correct horse battery","name":"Ann","organization":"Ann & Co"}`), &signedUp); err != nil {
		return err
	}
	s.token = signedUp.Tokens.Access
	if err := s.call(ctx, http.MethodPost, "/v1/data/collections",
		[]byte(`{"name":"things","indexes":[{"fields":["tag","-when"]}]}`), nil); err != nil {
		return err
	}
	var lines bytes.Buffer
	for i := range seeded {
		fmt.Fprintf(&lines, `{"id":"r%d","tag":"t%d","when":%d,"title":"A thing","text":"%0120d"}`+"\n", i, i%20, i, i)
	}
	var done struct {
		Imported int `json:"imported"`
		Errors   any `json:"errors"`
	}
	if err := s.call(ctx, http.MethodPost, collection+"/records/import?key=id", lines.Bytes(), &done); err != nil {
		return err
	}
	if done.Imported != seeded {
		return fmt.Errorf("%d records were imported: %.200v", done.Imported, done.Errors)
	}
	return nil
}
