// Package all turns URLs into openers of every store, for programs that learn
// their stores at run time. It imports every driver: a program whose stores are
// known names the openers of those alone.
package all

import (
	"errors"
	"strings"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/kafka"
	"github.com/acme/platform/store/mongo"
	"github.com/acme/platform/store/postgres"
	"github.com/acme/platform/store/redis"
)

// The errors name what a URL begins with and never show it: it may hold a
// password.
var (
	errRelational = errors.New("the URL of the relational store must begin with postgres:// or postgresql://")
	errDocuments  = errors.New("the URL of the documents must begin with mongodb:// or mongodb+srv://")
	errLive       = errors.New("the URL of cache and live messages must begin with redis://, rediss:// or unix://")
	errEvents     = errors.New("the URL of the stream must begin with kafka:// or kafkas://")
)

// Relational returns the opener of a relational store, or nil for an empty URL:
// the embedded one.
func Relational(url string) (store.RelationalOpener, error) {
	switch scheme(url) {
	case "":
		return nil, ifNotEmpty(url, errRelational)
	case "postgres", "postgresql":
		return postgres.Open(url), nil
	}
	return nil, errRelational
}

// Documents returns the opener of a store of records, or nil for an empty URL:
// rows of the relational store.
func Documents(url string) (store.DocumentsOpener, error) {
	switch scheme(url) {
	case "":
		return nil, ifNotEmpty(url, errDocuments)
	case "mongodb", "mongodb+srv":
		return mongo.Open(url), nil
	}
	return nil, errDocuments
}

// Live returns the opener of cache and live messages, or nil for an empty URL:
// the process's memory.
func Live(url string) (store.LiveOpener, error) {
	switch scheme(url) {
	case "":
		return nil, ifNotEmpty(url, errLive)
	case "redis", "rediss", "unix":
		return redis.Open(url), nil
	}
	return nil, errLive
}

// Events returns the opener of a stream, or nil for an empty URL: a table of the
// relational store.
func Events(url string) (store.EventsOpener, error) {
	switch scheme(url) {
	case "":
		return nil, ifNotEmpty(url, errEvents)
	case "kafka", "kafkas":
		return kafka.Open(url), nil
	}
	return nil, errEvents
}

// scheme is what stands before "://", or "".
func scheme(url string) string {
	s, rest, found := strings.Cut(url, "://")
	if !found || rest == "" {
		return ""
	}
	return s
}

func ifNotEmpty(url string, err error) error {
	if url == "" {
		return nil
	}
	return err
}
