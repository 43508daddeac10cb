package kafka_test

import (
	"testing"

	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/kafka"
	"github.com/acme/platform/store/storetest"
)

func TestEventsSuite(t *testing.T) {
	broker := teststack.Kafka(t)
	storetest.Events(t, func(tb testing.TB) store.Events {
		tb.Helper()
		return start(tb, config(tb, broker))
	})
}

var _ store.Events = (*kafka.Events)(nil)
