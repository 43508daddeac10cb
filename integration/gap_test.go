package integration

import (
	"net/http"
	"testing"

	"github.com/acme/platform/internal/test/teststack"
)

// TestLiveStreamAfterRedis loses the live messages of a record that is created
// while Redis is away. A stream of another replica says what it missed as soon
// as Redis is there again, though nothing happens any more.
func TestLiveStreamAfterRedis(t *testing.T) {
	redis := teststack.Start(t, teststack.RedisServer)
	proxy := teststack.NewProxy(t, "", redis.Addr)
	at := append(onPostgres(t), "--redis", redis.URLAt(proxy.Addr)+"?prefix=gap")
	one, two := start(t, at), start(t, at)
	c := one.signUp("ann@example.com", "Ann's")
	addRecords(c, "notes", 0, 1)
	eventually(t, "the message of the first record", func() bool { return unread(c) == 1 })
	stream := two.client(c.token).follow()
	if first := stream.next(); first.Unread != 1 {
		t.Fatalf("the stream begins with %+v", first)
	}
	proxy.Cut()
	addRecords(c, "notes", 1, 2)
	eventually(t, "the message of the second record", func() bool { return unread(c) == 2 })
	proxy.Restore(t)
	if next := stream.next(); next.Unread != 2 {
		t.Errorf("after Redis came back the stream says %+v", next)
	}
}

func unread(c *client) int {
	c.t.Helper()
	var page inboxPage
	c.want(http.StatusOK, "GET", "/v1/notify/inbox?limit=1", nil, &page)
	return page.Unread
}
