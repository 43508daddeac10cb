package sqlite

import (
	"fmt"
	"runtime"
	"time"
)

// Option changes how the file of [New] is opened. When in doubt give none. A number
// that an option does not allow is refused by [New].
type Option func(*options)

type options struct {
	synchronous Level
	readers     int
	now         func() time.Time
	reserve     int64
	free        func(folder string) (int64, error)
}

func newOptions(given []Option) (options, error) {
	o := options{
		synchronous: Full,
		readers:     min(4*runtime.GOMAXPROCS(0), 16),
		now:         time.Now,
		reserve:     64 << 20,
		free:        freeBytes,
	}
	for _, opt := range given {
		opt(&o)
	}
	switch {
	case o.synchronous != Full && o.synchronous != Normal:
		return o, fmt.Errorf("Synchronous must be Full or Normal, not %q", o.synchronous)
	case o.readers < 1:
		return o, fmt.Errorf("Readers must be at least 1, not %d", o.readers)
	case o.reserve < 0:
		return o, fmt.Errorf("Reserve must not be negative: %d", o.reserve)
	case o.now == nil:
		return o, fmt.Errorf("Clock must not be nil")
	}
	return o, nil
}

// Level is how much is forced to the disk before a commit is acknowledged.
type Level string

const (
	// Full forces every commit to the disk. It is the default.
	Full Level = "FULL"
	// Normal forces only checkpoints. Acknowledged commits survive the crash
	// of the process, but those since the last checkpoint are LOST when the
	// machine loses power or its kernel crashes; the file stays consistent.
	// It is several times faster, and fit for data that can be had again.
	Normal Level = "NORMAL"
)

// Synchronous sets the durability of commits.
func Synchronous(l Level) Option { return func(o *options) { o.synchronous = l } }

// longReaders bounds the transactions of [store.LongRead], for which callers
// have a bound of their own.
const longReaders = 64

// Readers bounds how many read-only transactions run at once; more wait. Each
// holds a connection with a page cache of up to 4 MiB. The default is four
// for each CPU that Go uses, at most 16. Those of [store.LongRead] do not count:
// they have other connections, up to 64, which are opened when they are needed.
func Readers(n int) Option { return func(o *options) { o.readers = n } }

// Clock replaces time.Now where the store records a time: when a migration
// was applied, when an event was seen by [store.Tx.Once].
func Clock(now func() time.Time) Option { return func(o *options) { o.now = now } }

// Reserve sets how many bytes of the disk are kept for transactions with
// [store.Reserved]: where fewer are left, all others that write are refused
// with an error of [platform.KindUnavailable] and the code "store_full", and
// [DB.Check] says so. The default is 64 MiB, which is more than the write-ahead
// log has; 0 keeps nothing. What is left can be known on Linux, macOS and
// FreeBSD; elsewhere, and for quotas, only a disk that is full is noticed.
func Reserve(bytes int64) Option { return func(o *options) { o.reserve = bytes } }
