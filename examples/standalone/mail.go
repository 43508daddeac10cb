package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"

	"github.com/acme/platform"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store"
	"github.com/acme/platform/user"
)

// mailer is the way of e-mails: the mail server, or else a folder, so that
// everything can be tried without a server. It is nil where there is neither.
func (o options) mailer(log *slog.Logger) (notify.Mailer, error) {
	if o.smtpAddr != "" {
		return o.smtp()
	}
	dir := o.mailFolder()
	if dir == "" {
		log.Warn("there is no e-mail, so nobody can be invited: set --smtp-addr or --mail-dir")
		return nil, nil //nolint:nilnil // nil is a value of Config.Mail
	}
	return &notify.MailFolder{Dir: dir, From: cmp.Or(o.smtpFrom, "Acme platform <no-reply@localhost>"), Logger: log}, nil
}

// mailFolder is where e-mails are written, or "". A server on PostgreSQL has no
// data folder, and perhaps no disk of its own.
func (o options) mailFolder() string {
	if o.mailDir == "" && o.stores.postgres == "" {
		return filepath.Join(o.data, "mail")
	}
	return o.mailDir
}

func (o options) smtp() (*notify.SMTP, error) {
	host, port, err := net.SplitHostPort(o.smtpAddr)
	if err != nil {
		return nil, fmt.Errorf("--smtp-addr: %w", err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("--smtp-addr: the port must be a number: %w", err)
	}
	policy := map[string]notify.TLSPolicy{
		"mandatory": notify.TLSMandatory, "opportunistic": notify.TLSOpportunistic, "none": notify.TLSNone,
	}[o.smtpTLS]
	return &notify.SMTP{
		Host: host, Port: n, TLS: policy, Username: o.smtpUser, Password: o.smtpPassword, From: o.smtpFrom,
	}, nil
}

// mailInvitation sends the invitation in the transaction that made it. The mail
// is the only way of its token, so without e-mail there is no invitation.
func mailInvitation(ctx context.Context, tx store.Tx, messages *notify.Service, o options, inv user.Invitation, token user.Secret) error {
	if o.smtpAddr == "" && o.mailFolder() == "" {
		return platform.Errorf(platform.KindConflict, "email_not_configured",
			"an invitation goes by e-mail, and this installation has neither a mail server nor a mail folder")
	}
	// The mail counts for the member who invites.
	inviter := platform.Principal{Tenant: inv.Organization, Subject: inv.InvitedBy, Kind: platform.PrincipalUser}
	_, err := messages.SendIn(ctx, inviter, tx, notify.Message{
		ID: inv.ID, Emails: []string{inv.Email}, Channels: []notify.Channel{notify.ChannelEmail},
		Secret: true, Expires: inv.ExpiresAt,
		Title: "You are invited",
		Body: fmt.Sprintf("You are invited to join an organization at %s.\n\nSign up or sign in with this address, then accept with this token:\n\n%s\n\nIt is valid until %s.\n",
			o.publicURL, string(token), inv.ExpiresAt.UTC().Format("2 January 2006 15:04 MST")),
	})
	return err
}
