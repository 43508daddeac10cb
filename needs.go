package platform

import (
	"errors"
	"fmt"
	"reflect"
)

// Dependent is a [Module] that calls other parts of the platform. It names them,
// so that [New] refuses a set in which one of them would never be started.
type Dependent interface {
	Module
	// Needs returns the values that the module was given and calls, such as
	// stores, a queue or routers. Values that are nil or are not modules, such
	// as the host's own implementation of an interface, ask for nothing.
	Needs() []any
}

// Part is a value that a [Module] hands out and that works while the module does,
// such as the cache of a Redis client. Who needs the part needs the module.
type Part interface {
	PartOf() Module
}

// checkNeeds returns an error for each module that is needed, has something to
// start, and is neither in the set nor started elsewhere.
func checkNeeds(modules, elsewhere []Module) error {
	var errs []error
	for _, m := range modules {
		d, ok := m.(Dependent)
		if !ok {
			continue
		}
		for _, v := range d.Needs() {
			if part, ok := v.(Part); ok {
				v = part.PartOf()
			}
			needed, isModule := v.(Module)
			_, starts := v.(Starter)
			if !isModule || !starts || isNil(v) || holds(modules, needed) || holds(elsewhere, needed) {
				continue
			}
			errs = append(errs, fmt.Errorf("platform: %s needs %s, which is not among the modules: "+
				"pass it to New too, or name it in Config.Elsewhere", m.Name(), needed.Name()))
		}
	}
	return errors.Join(errs...)
}

// holds reports whether the module itself, and not one like it, is in the list.
func holds(list []Module, m Module) bool {
	if !reflect.TypeOf(m).Comparable() {
		return false
	}
	for _, other := range list {
		if reflect.TypeOf(other).Comparable() && other == m {
			return true
		}
	}
	return false
}

// isNil reports whether v holds a nil pointer: a setting that was left out.
func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}
