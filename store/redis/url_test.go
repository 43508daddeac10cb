package redis_test

import (
	"strings"
	"testing"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/redis"
)

// The parameter prefix is ours; go-redis gets the others.
func TestPrefixOfURL(t *testing.T) {
	for url, want := range map[string]string{
		"redis://h:1/0":                              "platform",
		"redis://u:p@h:1/0?prefix=acme":              "acme",
		"rediss://h/0?pool_size=5&prefix=a&db=2":     "a",
		"unix:///run/redis.sock?prefix=acme.eu&db=1": "acme.eu",
	} {
		c, err := redis.New(redis.Config{URL: url})
		if err != nil || redis.Prefix(c) != want {
			t.Errorf("%s: got %v", url, err)
		}
		if c, err = redis.New(redis.Config{URL: url, Prefix: "mine"}); err != nil || redis.Prefix(c) != "mine" {
			t.Errorf("%s with a prefix beside it: got %v", url, err)
		}
	}
	for _, url := range []string{"redis://u:hunter2@h?a=%zz", "redis://u:hunter2@h?prefix=a:b", "redis://u:hunter2@h?no_such=1&prefix=a"} {
		_, err := redis.New(redis.Config{URL: url})
		_, opening := redis.Open(url)(store.Env{})
		for _, err := range []error{err, opening} {
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: got %v", url, err)
			}
		}
	}
}
