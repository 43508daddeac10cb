package redis_test

import (
	"context"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Each operation beside the plain call of go-redis, so that what the driver
// adds can be read off one run.

func BenchmarkGet(b *testing.B) {
	c, r := open(b).Cache(), raw(b)
	set(b, c, acme, "k", string(make([]byte, 1024)))
	key := newPrefix()
	if err := r.Set(b.Context(), key, make([]byte, 1024), time.Hour).Err(); err != nil {
		b.Fatal(err)
	}
	beside(b, func(ctx context.Context) error {
		_, _, err := c.Get(ctx, acme, "k")
		return err
	}, func(ctx context.Context) error { return r.Get(ctx, key).Err() })
}

func BenchmarkSet(b *testing.B) {
	c, r := open(b).Cache(), raw(b)
	key, value := newPrefix(), make([]byte, 1024)
	beside(b, func(ctx context.Context) error { return c.Set(ctx, acme, "k", value, time.Hour) },
		func(ctx context.Context) error { return r.Set(ctx, key, value, time.Hour).Err() })
}

// The plain side counts only: it has neither the end of the counter nor the
// time left.
func BenchmarkIncrement(b *testing.B) {
	c, r := open(b).Cache(), raw(b)
	key := newPrefix()
	beside(b, func(ctx context.Context) error {
		_, _, err := c.Increment(ctx, acme, "n", 1, time.Hour)
		return err
	}, func(ctx context.Context) error { return r.IncrBy(ctx, key, 1).Err() })
}

func beside(b *testing.B, ours, plain func(context.Context) error) {
	b.Helper()
	for _, side := range []struct {
		name string
		call func(context.Context) error
	}{{"ours", ours}, {"plain", plain}} {
		b.Run(side.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := side.call(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(side.name+"Parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := side.call(b.Context()); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// BenchmarkMessage is the time from the call of Publish to the message.
func BenchmarkMessage(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		p := open(b).PubSub()
		s := subscribe(b, p, "topic")
		payload := make([]byte, 100)
		b.ReportAllocs()
		for b.Loop() {
			if err := p.Publish(b.Context(), acme, "topic", payload); err != nil {
				b.Fatal(err)
			}
			<-s.C()
		}
	})
	b.Run("plain", func(b *testing.B) {
		r := raw(b)
		channel := newPrefix()
		s := r.Subscribe(b.Context(), channel)
		defer s.Close()
		if _, err := s.Receive(b.Context()); err != nil {
			b.Fatal(err)
		}
		messages := s.Channel(goredis.WithChannelSize(256))
		payload := make([]byte, 100)
		b.ReportAllocs()
		for b.Loop() {
			if err := r.Publish(b.Context(), channel, payload).Err(); err != nil {
				b.Fatal(err)
			}
			<-messages
		}
	})
}
