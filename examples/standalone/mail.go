package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"

	"github.com/acme/platform/notify"
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
