package notify

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store/document"
)

// builtinPrefix begins the ids of the host's rules.
const builtinPrefix = "builtin:"

// Rule turns events of the platform into messages. Events of this service
// ("notify.…") never match, so that no rule can feed itself.
type Rule struct {
	// ID is chosen by the service; for a rule of [Config.Rules] by the host.
	ID string
	// Name is for people, at most 100 bytes.
	Name string
	// Event is the type of the events: exact ("data.record.created"), all of
	// a prefix ("data.*"), or "*".
	Event string
	// Filter selects by the event's data, in the filter language of records;
	// "@id" is the event's subject; empty is all. A rule over changes of records
	// makes a message for each record of an import too; the filter
	// {"import":{"$exists":false}} leaves those out.
	Filter json.RawMessage
	// Channels are the ways to bring the message.
	Channels []Channel
	// To is who gets it.
	To RuleAudience
	// Template is the id or name of a template; or Title and Body are
	// templates themselves. The variables are .event (id, type, source,
	// subject, time, actor) and .data, the event's own.
	Template    string
	Title, Body string
	// Disabled keeps the rule without applying it.
	Disabled bool
	// DisabledReason is [DisabledOverBudget] where the service switched the
	// rule off, or what an operator said; else it is empty.
	DisabledReason string
	// Failures is how the rule has failed since it was changed last; nil is
	// not at all.
	Failures *RuleFailure
	// Builtin tells a rule of the host's.
	Builtin bool

	CreatedAt, UpdatedAt time.Time
}

// RuleAudience names who gets the message of a rule.
type RuleAudience struct {
	Audience
	// Actor adds who caused the event.
	Actor bool `json:"actor,omitempty"`
	// ExcludeActor leaves out who caused the event.
	ExcludeActor bool `json:"exclude_actor,omitempty"`
}

var eventPattern = regexp.MustCompile(`^(\*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?)$`)

// validate reports everything that is wrong with the rule itself.
func (r *Rule) validate(email bool) error {
	var f fields
	if r.Name == "" || len(r.Name) > 100 {
		f.add("/name", "required", "must be 1 to 100 bytes")
	}
	f.text("/name", r.Name)
	if len(r.Event) > 200 || !eventPattern.MatchString(r.Event) {
		f.add("/event", "format", `must be an event type, a prefix with ".*", or "*"`)
	}
	f.audience("/to", r.To.Audience)
	f.channels(r.Channels, email)
	if r.To.IsZero() && !r.To.Actor && !slices.Equal(r.Channels, []Channel{ChannelWebhook}) {
		f.add("/to", "required", "must name users, roles, everyone or the actor")
	}
	if r.To.Actor && r.To.ExcludeActor {
		f.add("/to/exclude_actor", "conflict", "the actor cannot be both in and out")
	}
	if len(r.Filter) > 0 {
		if _, err := document.ParseFilter(r.Filter); err != nil {
			f.merge(err)
		}
	}
	if r.Template != "" {
		if r.Title != "" || r.Body != "" {
			f.add("/template", "conflict", "give a template or a title and body, not both")
		}
		return f.err()
	}
	if _, err := compile(r.Title, r.Body, ""); err != nil {
		f.merge(err)
	}
	return f.err()
}

// merge adds the fields of another check's error.
func (f *fields) merge(err error) {
	var e *platform.Error
	if errors.As(err, &e) && len(e.Fields) > 0 {
		*f = append(*f, e.Fields...)
		return
	}
	f.add("/", "invalid", err.Error())
}

// typeMatches reports whether a pattern takes an event type.
func typeMatches(pattern, eventType string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(eventType, prefix)
	}
	return pattern == eventType
}

// activeRule is a rule ready to be applied.
type activeRule struct {
	Rule
	filter document.Filter
	text   *text
}

// source is what a text is compiled from.
type source struct{ title, body, html string }

// compileSteps is how many steps of a rendering a byte of source takes as long
// to compile as.
const compileSteps = 4

// text is compiled when it is needed: a tenant that changes its rules again and
// again must not have the consumer of all tenants compile them.
type text struct {
	source
	once sync.Once
	done *compiled
	err  error
}

// compiled returns the text, and what it cost to compile it this time.
func (t *text) compiled() (c *compiled, cost int, err error) {
	t.once.Do(func() {
		t.done, t.err = compile(t.title, t.body, t.html)
		cost = compileSteps * (len(t.title) + len(t.body) + len(t.html))
	})
	return t.done, cost, t.err
}

// activate prepares the rule with its text, which is the template's where it
// has one, and the one in texts where that has it.
func activate(r Rule, t *Template, texts map[source]*text) (*activeRule, error) {
	a := &activeRule{Rule: r}
	var err error
	if len(r.Filter) > 0 {
		if a.filter, err = document.ParseFilter(r.Filter); err != nil {
			return nil, err
		}
	}
	from := source{r.Title, r.Body, ""}
	if t != nil {
		from = source{t.Title, t.Body, t.HTML}
	}
	if a.text = texts[from]; a.text == nil {
		a.text = &text{source: from}
		texts[from] = a.text
	}
	return a, nil
}
