package platform_test

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/kafka"
	"github.com/acme/platform/store/mongo"
	"github.com/acme/platform/store/outbox"
	"github.com/acme/platform/store/postgres"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/store/redis"
	"github.com/acme/platform/store/sqlevents"
	"github.com/acme/platform/store/sqlite"
)

// Every number of the stores' settings says what it means: zero is its default,
// and a negative one is refused by New, which names the field.
func TestNegativeSettingsAreRefused(t *testing.T) {
	db, err := sqlite.New(filepath.Join(t.TempDir(), "acme.db"))
	ok(t, err)
	stream := struct{ store.Events }{}
	numbers := 0
	for _, made := range []any{
		func(c queue.Config) error { c.DB = db; _, err := queue.New(c); return err },
		func(c sqlevents.Config) error { c.DB = db; _, err := sqlevents.New(c); return err },
		func(c outbox.Config) error { c.DB, c.Events = db, stream; _, err := outbox.New(c); return err },
		func(c kafka.Config) error {
			c.Brokers, c.Topic, c.Plaintext = []string{"h:1"}, "t", true
			_, err := kafka.New(c)
			return err
		},
		func(c mongo.Config) error {
			c.URL, c.Events = "mongodb://h", stream
			_, err := mongo.New(c)
			return err
		},
		func(c redis.Config) error { c.URL = "redis://h"; _, err := redis.New(c); return err },
		func(c postgres.Config) error { c.URL = "postgres://h/d"; _, err := postgres.New(c); return err },
	} {
		f := reflect.ValueOf(made)
		kind := f.Type().In(0)
		call := func(cfg reflect.Value) error {
			err, _ := f.Call([]reflect.Value{cfg})[0].Interface().(error)
			return err
		}
		if err := call(reflect.Zero(kind)); err != nil {
			t.Errorf("%s without a number: %v", kind, err)
		}
		for i := range kind.NumField() {
			cfg := reflect.New(kind).Elem()
			if !cfg.Field(i).CanInt() {
				continue
			}
			numbers++
			cfg.Field(i).SetInt(-1)
			if err := call(cfg); err == nil || !strings.Contains(err.Error(), "."+kind.Field(i).Name) {
				t.Errorf("%s.%s = -1: got %v", kind, kind.Field(i).Name, err)
			}
		}
	}
	if numbers < 30 {
		t.Errorf("only %d numbers were found", numbers)
	}
}
