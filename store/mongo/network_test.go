package mongo_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"sync"
)

// network carries the commands of one client, and fails on demand. It sees the
// commands on the wire, so that the code under test knows nothing of it.
type network struct {
	mu    sync.Mutex
	armed bool
	// at is which write to fail at, counted from 0.
	at, seen int
	mode     failure
	dead     bool
	only     string
	log      []string
	held     []byte
	addr     string
	// before is called once, before a command that goes to a collection.
	before map[string]func()
}

type failure int

const (
	lostRequest failure = iota // the command does not arrive
	lostAnswer                 // it is executed, and nobody hears of it
	late                       // it arrives when release is called
	deaf                       // as lostAnswer, but the process lives on
)

func (f failure) String() string {
	return [...]string{"lost request", "lost answer", "late", "deaf"}[f]
}

var errCut = errors.New("the network is cut")

// arm makes the network fail at a write. Where it is late or deaf, only that
// command fails; otherwise everything from then on, as when the process has
// died.
func (n *network) arm(at int, mode failure) { n.armFor("", at, mode) }

// armFor is arm that counts one command only, such as "update collections".
func (n *network) armFor(command string, at int, mode failure) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.armed, n.at, n.mode, n.seen, n.log, n.only = true, at, mode, 0, nil, command
}

// counts reports whether a command is among those to fail at. What the process
// that relays does beside a call is not.
func (n *network) counts(name, of string) bool {
	if n.only != "" {
		return name+" "+of == n.only
	}
	return of != "leases" && of != "outbox_dead" && (name == "insert" || name == "update" || name == "delete" || name == "findAndModify")
}

// hit reports whether the write to fail at has come.
func (n *network) hit() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.armed && n.seen > n.at
}

// commands are those that were counted so far.
func (n *network) commands() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.log)
}

func (n *network) DialContext(ctx context.Context, kind, addr string) (net.Conn, error) {
	n.mu.Lock()
	dead := n.dead
	n.addr = addr
	n.mu.Unlock()
	if dead {
		return nil, errCut
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, kind, addr)
	if err != nil {
		return nil, err
	}
	return &wire{Conn: c, n: n}, nil
}

// release sends what was held back, and waits for the answer.
func (n *network) release() error {
	n.mu.Lock()
	held, addr := n.held, n.addr
	n.mu.Unlock()
	if held == nil {
		return nil
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(held); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1<<16))
	return err
}

type wire struct {
	net.Conn
	n     *network
	dying bool // the next answer is the last thing that is read, by nobody
}

// command returns the name and the collection of an OP_MSG.
func command(b []byte) (name, of string) {
	const body = 16 + 4 + 1 + 4 + 1
	if len(b) < body || binary.LittleEndian.Uint32(b[12:]) != 2013 {
		return "", ""
	}
	rest := b[body:]
	i := bytes.IndexByte(rest, 0)
	if i < 0 || b[body-1] != 2 {
		return "", ""
	}
	name, rest = string(rest[:i]), rest[i+1:]
	if n := int(binary.LittleEndian.Uint32(rest)); n > 0 && len(rest) >= 4+n {
		of = string(rest[4 : 4+n-1])
	}
	return name, of
}

func (w *wire) Write(b []byte) (int, error) {
	name, of := command(b)
	n := w.n
	n.mu.Lock()
	if f := n.before[name+" "+of]; f != nil {
		delete(n.before, name+" "+of)
		n.mu.Unlock()
		f()
		n.mu.Lock()
	}
	if n.dead {
		n.mu.Unlock()
		w.Close()
		return 0, errCut
	}
	fail := false
	if n.armed && n.counts(name, of) {
		n.log = append(n.log, name+" "+of)
		fail = n.seen == n.at
		n.seen++
	}
	if fail {
		switch n.mode {
		case lostRequest:
			n.dead = true
			n.mu.Unlock()
			w.Close()
			return 0, errCut
		case lostAnswer:
			n.dead, w.dying = true, true
		case deaf:
			w.dying = true
		case late:
			n.held = bytes.Clone(b)
			n.mu.Unlock()
			w.Close()
			return 0, errCut
		}
	}
	n.mu.Unlock()
	return w.Conn.Write(b)
}

func (w *wire) Read(b []byte) (int, error) {
	c, err := w.Conn.Read(b)
	if w.dying && err == nil {
		w.Close()
		return 0, errCut
	}
	return c, err
}
