//go:build darwin || freebsd || linux

package sqlite

import "syscall"

// freeBytes returns what is left on the disk of a folder for who is not root.
func freeBytes(folder string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(folder, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // the types differ by system
}
