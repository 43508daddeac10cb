package kafka

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// dialer opens the connections of one [Events] and knows them all, because
// kafka-go has calls that only the end of their connection ends.
type dialer struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu    sync.Mutex
	conns map[*conn]struct{}
	cut   bool
}

func newDialer(dial func(ctx context.Context, network, address string) (net.Conn, error)) *dialer {
	if dial == nil {
		dial = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	}
	return &dialer{dial: dial, conns: make(map[*conn]struct{})}
}

var errCut = errors.New("kafka: stopped")

func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cut {
		return nil, errors.Join(errCut, nc.Close())
	}
	c := &conn{Conn: nc, d: d}
	d.conns[c] = struct{}{}
	return c, nil
}

// cutAll closes every connection and lets no other be opened.
func (d *dialer) cutAll() {
	d.mu.Lock()
	d.cut = true
	conns := d.conns
	d.conns = nil
	d.mu.Unlock()
	for c := range conns {
		_ = c.Conn.Close()
	}
}

type conn struct {
	net.Conn
	d *dialer
}

func (c *conn) Close() error {
	c.d.mu.Lock()
	delete(c.d.conns, c)
	c.d.mu.Unlock()
	return c.Conn.Close()
}
