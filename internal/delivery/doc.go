// Package delivery is what the streams of events share in how they hand batches
// to a handler: how a batch that fails gets smaller, what becomes of a panic, and
// when failures are logged.
package delivery
