//go:build unix

package sqlite_test

import "syscall"

// limitFileSize has the kernel refuse to let a file grow beyond 1 MiB.
func limitFileSize() {
	const size = 1 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: size}); err != nil {
		panic(err)
	}
}
