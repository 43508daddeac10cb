//go:build !darwin && !freebsd && !linux

package sqlite

// freeBytes does not know.
func freeBytes(string) (int64, error) { return -1, nil }
