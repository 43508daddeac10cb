package testdb

// alone is a store that says for itself whether it is open in one process alone.
type alone struct {
	DB
	exclusive bool
}

// Exclusive implements store.Exclusive.
func (a alone) Exclusive() bool { return a.exclusive }

// Alone returns db as a store that is open in one process alone, or is not.
func Alone(db DB, exclusive bool) DB { return alone{db, exclusive} }
