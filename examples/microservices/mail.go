package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/acme/platform"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

// mailer is the way of e-mails: the mail server, or else a folder, so that
// everything can be tried without a server. It is nil where there is neither.
func (o *options) mailer(log *slog.Logger) notify.Mailer {
	switch {
	case o.smtp != nil:
		return o.smtp
	case o.mailDir != "":
		return &notify.MailFolder{Dir: o.mailDir, From: "Acme platform <no-reply@localhost>", Logger: log}
	}
	return nil
}

// onInvitation is user.Config.OnInvitation.
type onInvitation = func(ctx context.Context, tx store.Tx, inv user.Invitation, token user.Secret) error

// mailInvitation writes the e-mail into the transaction that made the
// invitation, so that there is one for each, and no token stands in the event
// stream. The mail is the only way of the token, so without e-mail there is no
// invitation.
func mailInvitation(ctx context.Context, tx store.Tx, mail *notify.Service, o options, inv user.Invitation, token user.Secret) error {
	if o.mailer(nil) == nil {
		return platform.Errorf(platform.KindConflict, "email_not_configured",
			"an invitation goes by e-mail, and this installation has neither a mail server nor a mail folder")
	}
	// The mail counts for the member who invites.
	inviter := platform.Principal{Tenant: inv.Organization, Subject: inv.InvitedBy, Kind: platform.PrincipalUser}
	_, err := mail.SendIn(ctx, inviter, tx, notify.Message{
		ID: inv.ID, Emails: []string{inv.Email}, Channels: []notify.Channel{notify.ChannelEmail},
		Secret: true, Expires: inv.ExpiresAt,
		Title: "You are invited",
		Body: fmt.Sprintf("You are invited to join an organization at %s.\n\nSign up or sign in with this address, then accept with this token:\n\n%s\n\nIt is valid until %s.\n",
			o.publicURL, string(token), inv.ExpiresAt.UTC().Format("2 January 2006 15:04 MST")),
	})
	return err
}
