package main

import (
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/acme/platform/store/kafka"
)

// storeURLs name the servers that keep the data. What none is named for is
// embedded: a SQLite file, and this process's memory. URLs hold passwords, so no
// error and no log line shows one.
type storeURLs struct {
	postgres, postgresRuntime, postgresSystem string
	mongo, redis, kafka                       string
}

func (s *storeURLs) flags(fs *flag.FlagSet) {
	fs.StringVar(&s.postgres, "postgres", "", "postgres://owner@host:5432/database?sslmode=verify-full in place of the SQLite file")
	fs.StringVar(&s.postgresRuntime, "postgres-runtime", "", "the same database with the login of the runtime role; without it the owner takes the role")
	fs.StringVar(&s.postgresSystem, "postgres-system", "", "the same database with the login of the system role; set with --postgres-runtime")
	fs.StringVar(&s.mongo, "mongo", "", "mongodb://user@host:27017/database?tls=true for the tenants' records, in place of the relational store")
	fs.StringVar(&s.redis, "redis", "", "rediss://user@host:6379/0?prefix=platform for cache, limits and live messages, in place of memory")
	fs.StringVar(&s.kafka, "kafka", "", "kafkas://user@host:9093,host2:9093/topic?sasl=scram-sha-512 for events, in place of the relational store; kafka:// is without TLS")
}

func (s *storeURLs) validate() (errs []error) {
	for _, u := range []struct {
		flag, value string
		schemes     []string
	}{
		{"--postgres", s.postgres, []string{"postgres", "postgresql"}},
		{"--postgres-runtime", s.postgresRuntime, []string{"postgres", "postgresql"}},
		{"--postgres-system", s.postgresSystem, []string{"postgres", "postgresql"}},
		{"--mongo", s.mongo, []string{"mongodb", "mongodb+srv"}},
		{"--redis", s.redis, []string{"redis", "rediss", "unix"}},
		{"--kafka", s.kafka, []string{"kafka", "kafkas"}},
	} {
		if u.value != "" && !hasScheme(u.value, u.schemes) {
			errs = append(errs, fmt.Errorf("%s: must be a URL that begins with %s://", u.flag, strings.Join(u.schemes, ":// or ")))
		}
	}
	if (s.postgresRuntime == "") != (s.postgresSystem == "") {
		errs = append(errs, errors.New("--postgres-runtime and --postgres-system: must both be set or both be empty"))
	}
	if s.postgresRuntime != "" && s.postgres == "" {
		errs = append(errs, errors.New("--postgres-runtime: needs --postgres, the login of the tables' owner"))
	}
	if s.kafka != "" && hasScheme(s.kafka, []string{"kafka", "kafkas"}) {
		if _, err := kafka.ParseURL(s.kafka); err != nil {
			errs = append(errs, fmt.Errorf("--kafka: %w", err))
		}
	}
	return errs
}

func hasScheme(raw string, schemes []string) bool {
	for _, s := range schemes {
		if strings.HasPrefix(raw, s+"://") && len(raw) > len(s)+3 {
			return true
		}
	}
	return false
}
