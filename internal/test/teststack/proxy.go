package teststack

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// Proxy is a Toxiproxy between a client and a server, in this process. Its
// address stays the same.
type Proxy struct {
	// Addr is where clients connect.
	Addr  string
	proxy *toxiproxy.Proxy
}

// NewProxy returns a proxy to upstream, a host:port. It listens on listen, and on
// an address of its own choice where that is "". It ends with the test.
func NewProxy(tb testing.TB, listen, upstream string) *Proxy {
	tb.Helper()
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &Proxy{proxy: toxiproxy.NewProxy(server, "test", listen, upstream)}
	p.Restore(tb)
	p.Addr = p.proxy.Listen
	tb.Cleanup(p.proxy.Stop)
	return p
}

// Cut closes every connection and refuses new ones.
func (p *Proxy) Cut() { p.proxy.Stop() }

// Restore ends Cut.
func (p *Proxy) Restore(tb testing.TB) {
	tb.Helper()
	if err := p.proxy.Start(); err != nil {
		tb.Fatalf("teststack: proxy: %v", err)
	}
}

// Slow delays what goes each way by the latency, more or less by half of it.
func (p *Proxy) Slow(tb testing.TB, latency time.Duration) {
	tb.Helper()
	for _, stream := range []string{"upstream", "downstream"} {
		toxic := fmt.Sprintf(`{"name":%q,"type":"latency","stream":%[1]q,"attributes":{"latency":%d,"jitter":%d}}`,
			stream, latency.Milliseconds(), latency.Milliseconds()/2)
		if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			tb.Fatalf("teststack: proxy: %v", err)
		}
	}
}

// Fast ends Slow.
func (p *Proxy) Fast() { p.proxy.Toxics.ResetToxics(context.Background()) }
