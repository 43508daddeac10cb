package main

import (
	"context"
	"log/slog"

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
type onInvitation = func(context.Context, store.Tx, user.Invitation, user.Secret) error
