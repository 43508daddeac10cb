package kafka_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store/kafka"
)

// What comes out is what went in, to the nanosecond and the byte.
func TestRoundTrip(t *testing.T) {
	broker := teststack.Kafka(t)
	for _, compression := range []kafkago.Compression{0, kafkago.Gzip, kafkago.Snappy, kafkago.Lz4, kafkago.Zstd} {
		cfg := config(t, broker)
		cfg.Compression = compression
		e := start(t, cfg)
		full := event(acme, "rec/ä 1\n", 0)
		bare := platform.Event{ID: "evt_2", Source: "/s", Type: "t", Tenant: globex, Subject: "s", Time: time.Unix(0, 0).UTC()}
		large := event(acme, "large", 0)
		large.Data = json.RawMessage(`"` + strings.Repeat("x", 700_000) + `"`)
		want := map[string]platform.Event{full.ID: full, bare.ID: bare, large.ID: large}
		zone := full
		zone.Time = full.Time.In(time.FixedZone("", 3600))
		publish(t, e, zone, bare, large)
		var in inbox
		end := consume(t, e, "g", in.handle)
		until(t, "three events", func() bool { return in.distinct() == 3 })
		end()
		for _, got := range in.all() {
			if !reflect.DeepEqual(got, want[got.ID]) {
				t.Errorf("published %+v, got %+v", want[got.ID], got)
			}
		}
	}
}

// The record is that of the CloudEvents binding for Kafka, and where Java's
// clients would put it.
func TestWireFormat(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := config(t, broker)
	e := start(t, cfg)
	publish(t, e, event(acme, "rec_1", 7))
	for i := range 40 {
		publish(t, e, event(acme, fmt.Sprint("rec_", i+2), 0))
	}
	var m kafkago.Message
	for partition := range 4 {
		for _, got := range get(t, broker, cfg.Topic, partition) {
			// murmur2 modulo 4, as Java's DefaultPartitioner has it.
			if want := (kafkago.Murmur2Balancer{}).Balance(kafkago.Message{Key: got.Key}, 0, 1, 2, 3); partition != want {
				t.Errorf("%s is in partition %d, not %d", got.Key, partition, want)
			}
			if string(got.Key) == "org_acme/rec_1" {
				m = got
			}
		}
	}
	got := map[string]string{}
	for _, h := range m.Headers {
		got[h.Key] = string(h.Value)
	}
	want := map[string]string{
		"ce_specversion": "1.0", "ce_id": "evt_org_acme_rec_1_7", "ce_source": "/test", "ce_type": "test.thing.changed",
		"ce_subject": "rec_1", "ce_time": "2026-01-02T03:04:05.678901234Z", "ce_tenantid": "org_acme", "ce_actor": "usr_1",
		"content-type": "application/json",
	}
	if !maps.Equal(got, want) || string(m.Key) != "org_acme/rec_1" || string(m.Value) != `{"n":7}` {
		t.Errorf("got %s %s %v", m.Key, m.Value, got)
	}
	if age := time.Since(m.Time); age < -time.Minute || age > time.Minute {
		t.Errorf("the record is from %v: retention goes by it, so it must be of now", m.Time)
	}
}

// An event that the topic does not take is refused by itself, so that the relay
// can dead-letter it, and nothing that came with it is sent.
func TestTooLarge(t *testing.T) {
	broker := teststack.Kafka(t)
	cfg := config(t, broker)
	e := start(t, cfg)
	large := event(acme, "s", 1)
	large.Data = json.RawMessage(`"` + strings.Repeat("x", 1<<20) + `"`)
	err := e.Publish(t.Context(), event(acme, "s", 0), large)
	if platform.KindOf(err) != platform.KindTooLarge {
		t.Fatalf("got %v", err)
	}
	if s, err := e.Stats(t.Context()); err != nil || s.Events != 0 {
		t.Errorf("%d events are in the stream, %v", s.Events, err)
	}
}

// A batch of many megabytes for one subject goes in several requests, in order.
func TestLargeBatchKeepsOrder(t *testing.T) {
	broker := teststack.Kafka(t)
	e := start(t, config(t, broker))
	all := events(acme, 0, 200, "a", "b", "c")
	for i := range all {
		all[i].Data = json.RawMessage(`"` + strings.Repeat("x", 30_000) + `"`)
	}
	publish(t, e, all...)
	var in inbox
	consume(t, e, "g", in.handle)
	until(t, "all events", func() bool { return in.distinct() == len(all) })
	in.wantOrder(t, 200)
	if n := in.duplicates(); n != 0 {
		t.Errorf("%d duplicates", n)
	}
}

// Ten thousand events of random tenants that share their subjects and data:
// each comes once, with the tenant that it was published for.
func TestTenantsDoNotMix(t *testing.T) {
	broker := teststack.Kafka(t)
	e := start(t, config(t, broker))
	random := rand.New(rand.NewPCG(1, 2))
	want := map[string]platform.TenantID{}
	var batch []platform.Event
	for n := range 10_000 {
		tenant := platform.TenantID(fmt.Sprintf("org_%d", random.IntN(50)))
		ev := event(tenant, fmt.Sprintf("rec_%d", random.IntN(20)), n)
		ev.ID = fmt.Sprint("evt_", n) // says nothing of the tenant
		want[ev.ID] = tenant
		if batch = append(batch, ev); len(batch) >= 1+random.IntN(400) {
			publish(t, e, batch...)
			batch = batch[:0]
		}
	}
	publish(t, e, batch...)
	var in inbox
	consume(t, e, "g", in.handle)
	until(t, "all events", func() bool { return in.distinct() == len(want) })
	last := map[string]string{}
	for _, got := range in.all() {
		if got.Tenant != want[got.ID] {
			t.Fatalf("%s was published for %s and came for %s", got.ID, want[got.ID], got.Tenant)
		}
		// In order per tenant and subject.
		key := string(got.Tenant) + "/" + got.Subject
		if prev := last[key]; len(prev) > len(got.ID) || len(prev) == len(got.ID) && prev >= got.ID {
			t.Fatalf("%s after %s", got.ID, prev)
		}
		last[key] = got.ID
	}
}

// The caller may use its memory again when Publish has returned, even early.
func TestPublishSharesNoMemory(t *testing.T) {
	broker := teststack.Kafka(t)
	e := start(t, config(t, broker))
	for n := range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		all := events(acme, 0, 50, "s")
		go cancel()
		err := e.Publish(ctx, all...)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(n, err)
		}
		for i := range all {
			for j := range all[i].Data {
				all[i].Data[j] = '9'
			}
		}
	}
	publish(t, e, event(acme, "last", 0))
	var in inbox
	consume(t, e, "g", in.handle)
	until(t, "the last event", func() bool {
		all := in.all()
		return len(all) > 0 && all[len(all)-1].Subject == "last" || in.distinct() == 51
	})
	for _, got := range in.all() {
		if !bytes.HasPrefix(got.Data, []byte(`{"n":`)) {
			t.Fatalf("data changed under way: %s", got.Data)
		}
	}
}

// Before Start and after Stop the caller learns that the stream is unavailable.
func TestPublishOutsideLife(t *testing.T) {
	broker := teststack.Kafka(t)
	e, err := kafka.New(config(t, broker))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Publish(t.Context(), event(acme, "s", 0)); platform.KindOf(err) != platform.KindUnavailable {
		t.Errorf("before Start: %v", err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(t, e, event(acme, "s", 0))
	if err := e.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	if err := e.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := e.Publish(t.Context(), event(acme, "s", 1)); platform.KindOf(err) != platform.KindUnavailable {
		t.Errorf("after Stop: %v", err)
	}
	if err := e.Stop(t.Context()); err != nil {
		t.Errorf("a second Stop: %v", err)
	}
	if err := e.Consume(t.Context(), "g", nil); err == nil {
		t.Error("Consume after Stop must fail")
	}
}
