//go:build race

package integration

// raced is whether the program is built with the race detector: where the
// tests are.
const raced = true
