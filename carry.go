package platform

import "context"

// carrier is a context with one value, as [context.WithValue] makes it, but with
// the value in the same piece of memory: each request carries several, and so each
// costs one allocation and not two. K is the type of the key, which has no fields.
type carrier[K comparable, V any] struct {
	context.Context //nolint:containedctx // it is a context
	value           V
}

func carry[K comparable, V any](ctx context.Context, _ K, value V) context.Context {
	return &carrier[K, V]{ctx, value}
}

// Value returns a pointer, which nobody writes through.
func (c *carrier[K, V]) Value(key any) any {
	if _, mine := key.(K); mine {
		return &c.value
	}
	return c.Context.Value(key)
}

// carried returns the value that ctx carries under the key.
func carried[V any, K comparable](ctx context.Context, key K) (value V, ok bool) {
	p, ok := ctx.Value(key).(*V)
	if ok {
		value = *p
	}
	return value, ok
}
