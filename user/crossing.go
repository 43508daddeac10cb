package user

import "github.com/acme/platform/store"

// crossings are the tokens for what the service does across tenants: a person is
// in several organizations, and some credentials name the organization only once
// they are found.
type crossings struct {
	signIn        store.Crossing
	account       store.Crossing
	organizations store.Crossing
	sessions      store.Crossing
	apiKey        store.Crossing
	invitation    store.Crossing
	repeated      store.Crossing
	suspend       store.Crossing
	purge         store.Crossing
	operators     store.Crossing
	factors       store.Crossing
	mail          store.Crossing
	audit         store.Crossing
}

func newCrossings(db store.Relational) crossings {
	of := db.Crossings()
	return crossings{
		signIn:        of.Grant("user.sign-in", "finds the account of an address and the first organization that is open to it"),
		account:       of.Grant("user.account", "reads and changes a person's account and password, which belong to no organization"),
		organizations: of.Grant("user.organizations", "lists the organizations of a person"),
		sessions:      of.Grant("user.sessions", "finds, lists and ends the sessions of a person in all of their organizations"),
		apiKey:        of.Grant("user.api-key", "finds an API key, which names its organization, by its id"),
		invitation:    of.Grant("user.invitation", "finds an invitation, which names its organization, by its token"),
		repeated:      of.Grant("user.repeated", "finds the organization that a repeated call of its maker has made"),
		suspend:       of.Grant("user.suspend", "suspends a person in all of their organizations at once"),
		purge:         of.Grant("user.purge", "removes sessions and devices of all persons that ended long ago"),
		mail:          of.Grant("user.mail", "makes the secrets of mails to persons, who need be in no organization, and finds the mail of a secret"),
		operators:     of.Grant("user.operators", "reads and changes the keys of operators, lists all organizations for them, and imports people"),
		factors:       of.Grant("user.factors", "reads and changes the second factors of a person, and tells all of their organizations"),
		audit:         of.Grant("user.audit", "reads and writes the installation's audit, shows people what concerns them in all of their organizations, erases them there, and removes what is old"),
	}
}
