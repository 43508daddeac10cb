package teststack

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// LostReply is a proxy that can lose the answer to a request that the server has
// received and acted on.
type LostReply struct {
	// Addr is where clients connect.
	Addr     string
	upstream string
	needle   []byte
	armed    atomic.Int32
	lost     atomic.Int32
}

// NewLostReply returns a proxy to upstream. Once armed it waits for a request
// that holds needle in one write, such as "COMMIT\x00" of PostgreSQL. It ends with
// the test.
func NewLostReply(tb testing.TB, upstream, needle string) *LostReply {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &LostReply{Addr: l.Addr().String(), upstream: upstream, needle: []byte(needle)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(client) })
		}
	})
	var once sync.Once
	tb.Cleanup(func() {
		once.Do(func() { l.Close() })
		serving.Wait()
	})
	return p
}

// Arm has the answers to the next n matching requests lost, each with its
// connection.
func (p *LostReply) Arm(n int) { p.armed.Add(int32(n)) }

// Lost is how many answers were lost.
func (p *LostReply) Lost() int { return int(p.lost.Load()) }

func (p *LostReply) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.upstream)
	if err != nil {
		return
	}
	defer server.Close()
	var cut atomic.Bool // the next answer is lost
	var both sync.WaitGroup
	both.Go(func() {
		defer server.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := client.Read(buf)
			if n > 0 {
				if bytes.Contains(buf[:n], p.needle) && p.take() {
					cut.Store(true)
				}
				if _, err := server.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	both.Go(func() {
		defer client.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if n > 0 && cut.Load() {
				p.lost.Add(1)
				return // the server has answered; nobody hears it
			}
			if n > 0 {
				if _, err := client.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	})
	both.Wait()
}

// take uses up one of what Arm asked for.
func (p *LostReply) take() bool {
	for {
		n := p.armed.Load()
		if n <= 0 {
			return false
		}
		if p.armed.CompareAndSwap(n, n-1) {
			return true
		}
	}
}
