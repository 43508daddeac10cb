package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/segmentio/kafka-go"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/background"
)

func TestJudge(t *testing.T) {
	good := map[string]string{"cleanup.policy": "delete", "unclean.leader.election.enable": "false", "min.insync.replicas": "2"}
	if err := judge(good, 2); err != nil {
		t.Error(err)
	}
	if err := judge(good, 3); err == nil || !strings.Contains(err.Error(), "min.insync.replicas is 2") {
		t.Errorf("too few replicas in sync: %v", err)
	}
}

// An outage must not look like a poison event.
func TestWhatCounts(t *testing.T) {
	for _, err := range []error{
		platform.Errorf(platform.KindUnavailable, "", ""), platform.Errorf(platform.KindTimeout, "", ""),
		platform.Errorf(platform.KindLimited, "", ""), context.Canceled, context.DeadlineExceeded,
		&net.OpError{Op: "dial", Err: errors.New("refused")},
	} {
		if counts(fmt.Errorf("handle: %w", err)) {
			t.Errorf("%v counts", err)
		}
	}
	for _, err := range []error{errors.New("bug"), platform.Invalid(), platform.Errorf(platform.KindConflict, "", "")} {
		if !counts(err) {
			t.Errorf("%v does not count", err)
		}
	}
}

func TestOffsetsNeverGoBack(t *testing.T) {
	o := &offsets{done: map[int]int64{}, stored: map[int]int64{}, changed: background.NewSignal()}
	o.finish(1, 9, false)
	o.finish(1, 3, false)
	if c := o.pending(); len(c) != 1 || c[0] != (kafka.OffsetCommit{Partition: 1, Offset: 9}) {
		t.Errorf("pending %v", c)
	}
	o.stored[1] = 9
	if c := o.pending(); len(c) != 0 {
		t.Errorf("pending again: %v", c)
	}
	o.finish(1, 3, true) // the topic was made again
	if c := o.pending(); len(c) != 1 || c[0].Offset != 3 {
		t.Errorf("pending %v", c)
	}
	o.lose()
	if c := o.pending(); len(c) != 0 {
		t.Errorf("pending of a lost generation: %v", c)
	}
}

func TestLetterID(t *testing.T) {
	if p, o, ok := parseLetterID(letterID(3, 1<<40)); p != 3 || o != 1<<40 || !ok {
		t.Errorf("got %d, %d, %v", p, o, ok)
	}
	for _, id := range []string{"", "-", "1", "1-", "-1", "1-x", "x-1", "1--1", "+1-1", "01-1", "1-1-1", "1-9999999999999999999"} {
		if _, _, ok := parseLetterID(id); ok {
			t.Errorf("%q is taken for an id", id)
		}
	}
}

// What any message holds, decode returns an event that is valid or an error.
func FuzzDecode(f *testing.F) {
	ev := platform.Event{ID: "1", Source: "/s", Type: "t", Tenant: "a", Subject: "s", Actor: "u", Data: []byte("{}")}
	f.Add(headerTime, "2026-01-02T03:04:05Z", headerTenant, "a", []byte("{}"))
	f.Add(headerTime, "yesterday", headerVersion, "0.3", []byte("{"))
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string, data []byte) {
		m := encode(&ev)
		for i, h := range m.headers {
			switch h.Key {
			case name1:
				m.headers[i].Value = []byte(value1)
			case name2:
				m.headers[i].Value = []byte(value2)
			}
		}
		m.value = data
		got, _, err := decode(m)
		if err != nil {
			return
		}
		if err := got.Validate(); err != nil {
			t.Fatalf("decoded what is no event: %v", err)
		}
		again, _, err := decode(encode(&got))
		if err != nil || !again.Time.Equal(got.Time) || again.Subject != got.Subject || string(again.Data) != string(got.Data) {
			t.Fatalf("%+v became %+v, %v", got, again, err)
		}
	})
}

// The size that decides what is too large is never less than what is sent.
func TestSizeIsAnUpperBound(t *testing.T) {
	e := &Events{cfg: Config{}}
	e.cfg.setDefaults()
	for n := range 300 {
		ev := platform.Event{
			ID: strings.Repeat("i", n), Source: "/s", Type: "t", Tenant: "a", Subject: strings.Repeat("s", n*7),
			Data: []byte(`"` + strings.Repeat("x", n*n) + `"`),
		}
		m := encode(&ev)
		b, err := e.encodeBatch(0, []message{m}, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if sent, bound := len(b.data)-4, m.size()+batchOverhead; sent > bound || bound-sent > 200 {
			t.Fatalf("%d bytes are sent, %d were foreseen", sent, bound)
		}
	}
}
