package user

import (
	"regexp"
	"unicode/utf8"
)

// Resource is the thing that a decision is about, such as the invoice "inv_1". The
// zero value is nothing in particular: the question is then whether the
// permission is held at all.
type Resource struct {
	// Type is one to 63 letters, digits, - and _ and begins with a letter.
	Type string
	// ID is up to 200 bytes; it needs a Type.
	ID string
	// Attributes are what Config.AccessModel may ask of the resource: at most 20,
	// with names like a Type and values of up to 1,000 bytes. Rules of an
	// organization do not see them.
	Attributes map[string]string
}

const (
	maxResourceID  = 200
	maxAttributes  = 20
	maxAttribute   = 1000
	resourceFormat = `^[A-Za-z][A-Za-z0-9_-]{0,62}$`
)

var resourceName = regexp.MustCompile(resourceFormat)

// validate returns an error of [platform.KindInvalid] for what is no resource.
// The zero value costs nothing.
func (r Resource) validate() error {
	if r.Type == "" && r.ID == "" && len(r.Attributes) == 0 {
		return nil
	}
	if !resourceName.MatchString(r.Type) {
		return field("/resource/type", "format", "1 to 63 letters, digits, - and _ that begin with a letter")
	}
	if len(r.ID) > maxResourceID || !utf8.ValidString(r.ID) {
		return field("/resource/id", "too_long", "at most 200 bytes of UTF-8")
	}
	if len(r.Attributes) > maxAttributes {
		return field("/resource/attributes", "too_many", "at most 20 attributes")
	}
	for name, value := range r.Attributes {
		if !resourceName.MatchString(name) || len(value) > maxAttribute || !utf8.ValidString(value) {
			return field("/resource/attributes", "format", "names are like types, values are up to 1000 bytes of UTF-8")
		}
	}
	return nil
}

// scope is what a rule is limited to: everything, the resources of a type, or one.
type scope struct{ kind, id string }

// concerns reports whether what the scope names includes the resource.
func (s scope) concerns(kind, id string) bool {
	return s.kind == "" || s.kind == kind && (s.id == "" || s.id == id)
}

func (s scope) resource() Resource { return Resource{Type: s.kind, ID: s.id} }

// Question asks for one decision.
type Question struct {
	// Permission is what is to be done, such as "data.records.write".
	Permission string
	Resource   Resource
}

func (q Question) validate() error {
	if q.Permission == "*" || !validPattern(q.Permission) || q.Permission[len(q.Permission)-1] == '*' {
		return field("/permission", "format", `a permission is like "data.records.read"`)
	}
	return q.Resource.validate()
}

// checkQuestions bounds what one call asks.
func checkQuestions(all []Question) error {
	switch {
	case len(all) == 0:
		return field("/checks", "required", "at least one question")
	case len(all) > maxQuestions:
		return field("/checks", "too_many", "at most 100 questions")
	}
	for _, q := range all {
		if err := q.validate(); err != nil {
			return err
		}
	}
	return nil
}

// maxQuestions is how many decisions one call asks for at most.
const maxQuestions = 100
