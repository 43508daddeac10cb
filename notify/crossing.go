package notify

import "github.com/acme/platform/store"

// crossings are the tokens for what the service does across tenants.
type crossings struct{ rules, failures, retention, sealing store.Crossing }

func newCrossings(db store.Relational) crossings {
	of := db.Crossings()
	return crossings{
		rules:     of.Grant("notify.rules", "looks whether the rules of the tenants in a batch of events have changed"),
		failures:  of.Grant("notify.rule-failures", "shows an operator the rules of all tenants that fail"),
		retention: of.Grant("notify.retention", "removes secrets and events of all tenants that are past their time, and finds the next tenant with old rows"),
		sealing:   of.Grant("notify.sealing", "seals secrets of all tenants again after the sealer's key was rotated"),
	}
}
