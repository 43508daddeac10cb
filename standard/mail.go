package standard

import (
	"context"
	"fmt"

	"github.com/acme/platform"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

// Invitations returns a user.Config.OnInvitation that sends each invitation as an
// e-mail. It writes the mail into the transaction that makes the invitation, so
// that there is one for each, and the token stands in the mail alone. messages
// returns the service that sends; it is called when the first invitation is
// made, since users are made before messages are. publicURL is where the mail
// sends the invited person.
func Invitations(messages func() *notify.Service, publicURL string) func(context.Context, store.Tx, user.Invitation, user.Secret) error {
	return func(ctx context.Context, tx store.Tx, inv user.Invitation, token user.Secret) error {
		// The mail counts for the member who invites.
		inviter := platform.Principal{Tenant: inv.Organization, Subject: inv.InvitedBy, Kind: platform.PrincipalUser}
		_, err := messages().SendIn(ctx, inviter, tx, notify.Message{
			ID: inv.ID, Emails: []string{inv.Email}, Channels: []notify.Channel{notify.ChannelEmail},
			Secret: true, Expires: inv.ExpiresAt,
			Title: "You are invited",
			Body: fmt.Sprintf("You are invited to join an organization at %s.\n\nSign up or sign in with this address, then accept with this token:\n\n%s\n\nIt is valid until %s.\n",
				publicURL, string(token), inv.ExpiresAt.UTC().Format("2 January 2006 15:04 MST")),
		})
		return err
	}
}
