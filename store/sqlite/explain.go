package sqlite

import "fmt"

// Explain implements [platform.Explainer].
func (db *DB) Explain() string {
	o := db.options
	return fmt.Sprintf("the file %s, synchronous=%s, %d readers and %d long ones, %d MiB of the disk kept in reserve",
		db.given, o.synchronous, o.readers, longReaders, o.reserve>>20)
}
