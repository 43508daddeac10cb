package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// Kind is the name of a kind of job together with the Go type of its payload, so
// that who enqueues and who handles agree when the program is compiled:
//
//	const sendReceipt queue.Kind[Receipt] = "shop.receipt.send"
type Kind[T any] string

// Handle registers the handler of a kind with [Queue.Handle], and decodes the
// payload for it as strictly as [platform.UnmarshalJSON] does. A job whose payload
// is not a T is dead at once, with the reason as its cause: no further attempt
// could help. So a program that adds a member to T knows it in all processes before
// one of them enqueues it, or takes another kind.
func Handle[T any](q *Queue, kind Kind[T], h func(ctx context.Context, job Job, payload T) error, opts Options) {
	if h == nil {
		panic("queue: nil handler for " + string(kind))
	}
	q.Handle(string(kind), func(ctx context.Context, job Job) error {
		var payload T
		if err := platform.UnmarshalJSON(job.Payload, &payload); err != nil {
			return Discard(badPayload(err))
		}
		return h(ctx, job, payload)
	}, opts)
}

// badPayload is the cause of a job that cannot be decoded. The decoder's own text
// may quote the payload, which a job's cause must not.
func badPayload(err error) error {
	var e *platform.Error
	if errors.As(err, &e) {
		err = e.Because(nil)
	}
	return fmt.Errorf("queue: the payload is not what the handler takes: %w", err)
}

// Enqueue adds a job of the kind with [Queue.Enqueue]; options may set what else a
// [Job] has, such as RunAt or UniqueKey.
func Enqueue[T any](ctx context.Context, q *Queue, tx store.Tx, kind Kind[T], payload T, options ...func(*Job)) (string, error) {
	raw, err := json.Marshal(payload)
	if err != nil {
		return "", fmt.Errorf("queue: the payload of %s: %w", kind, err)
	}
	job := Job{}
	for _, option := range options {
		option(&job)
	}
	job.Kind, job.Payload = string(kind), raw
	return q.Enqueue(ctx, tx, job)
}
