package sqltx

import "errors"

// Again marks an error of a transaction's function that stands for a race with
// another transaction: a driver that has several writers runs the function
// again in a new transaction, a few times, and returns err if that does not
// help.
func Again(err error) error { return &againError{err} }

// IsAgain reports whether err, or what it wraps, was marked.
func IsAgain(err error) bool {
	var a *againError
	return errors.As(err, &a)
}

type againError struct{ err error }

func (e *againError) Error() string { return e.err.Error() }
func (e *againError) Unwrap() error { return e.err }
