package kafka_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"sync"
	"testing"

	"github.com/acme/platform/internal/test/teststack"
)

// Every produce request asks for the answer of all replicas that are in sync.
// With the one broker of a test it makes no difference, so it is read off the
// wire.
func TestAsksForAllReplicas(t *testing.T) {
	broker := teststack.Kafka(t)
	var (
		mu   sync.Mutex
		taps []*tap
	)
	cfg := impatient(t, broker)
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		taps = append(taps, &tap{Conn: c})
		return taps[len(taps)-1], nil
	}
	e := start(t, cfg)
	publish(t, e, events(acme, 0, 3, subjects...)...)
	if err := e.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	requests := 0
	for _, c := range taps {
		for _, request := range c.requests(t) {
			if binary.BigEndian.Uint16(request) != 0 { // not Produce
				continue
			}
			requests++
			// key, version, correlation, client id, transaction's id (null), acks
			client := int(binary.BigEndian.Uint16(request[8:]))
			if acks := int16(binary.BigEndian.Uint16(request[10+client+2:])); acks != -1 {
				t.Errorf("acks are %d, want all", acks)
			}
		}
	}
	if requests == 0 {
		t.Error("no produce request was seen")
	}
}

// tap keeps what is written.
type tap struct {
	net.Conn
	mu      sync.Mutex
	written bytes.Buffer
}

func (c *tap) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.written.Write(p)
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// requests are what was written, without the sizes in front.
func (c *tap) requests(tb testing.TB) (all [][]byte) {
	tb.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for rest := c.written.Bytes(); len(rest) >= 4; {
		n := int(binary.BigEndian.Uint32(rest))
		if len(rest) < 4+n {
			break // it was closed in the middle
		}
		all = append(all, rest[4:4+n])
		rest = rest[4+n:]
	}
	return all
}
