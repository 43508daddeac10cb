package main

import (
	"log/slog"

	"github.com/acme/platform/notify"
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
