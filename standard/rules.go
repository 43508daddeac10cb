package standard

import (
	"encoding/json"

	"github.com/acme/platform/notify"
)

// Rules are the rules that hold for every tenant where Config.Messages.Rules is
// nil. A tenant can switch each of them off.
func Rules() []notify.Rule {
	managers := notify.Audience{Roles: []string{"owner", "admin"}}
	return []notify.Rule{
		{
			ID: "record-created", Name: "A record was created", Event: "data.record.created",
			Filter:   json.RawMessage(`{"import":{"$exists":false}}`), // a file of many records is no news of each
			Channels: []notify.Channel{notify.ChannelInbox},
			To:       notify.RuleAudience{Audience: managers},
			Title:    "A record was created in {{.data.collection}}",
			Body:     "Record {{.data.id}} was created in the collection {{.data.collection}}.",
		},
		{
			ID: "member-invited", Name: "A member was invited", Event: "user.invitation.created",
			Channels: []notify.Channel{notify.ChannelInbox},
			To:       notify.RuleAudience{Audience: managers, ExcludeActor: true},
			Title:    "{{.data.email}} was invited",
			Body:     "{{.data.email}} was invited to the organization.",
		},
	}
}
