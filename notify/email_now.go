package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/quota"
)

// TransientMail is an e-mail that is sent at once and whose text is kept nowhere,
// since it holds a secret.
type TransientMail struct {
	// ID tells receivers of a repetition; Kind is what the log names.
	ID, Kind string
	// Tenant is whose e-mail it is; [platform.NoTenant] is the installation's own,
	// which nothing counts here.
	Tenant platform.TenantID
	// To is one valid address, perhaps with a name.
	To mail.Address
	// Subject is one line; HTML is an alternative of Text, or empty.
	Subject, Text, HTML string
	// Date is when it was asked for.
	Date time.Time
}

// SendNow gives an e-mail to Config.Mail and returns once it has been taken. No
// message, delivery, event or log has its text; the log has its id, its kind and the
// outcome. The caller tries again: the error of what another try cannot help is a
// [*MailError] with Permanent set.
//
// An e-mail of a tenant counts as one of its day. It is refused, with the reason
// "rate_exceeded", where the tenant has mailed the address
// [platform.Limits].EmailsPerRecipient times.
func (s *Service) SendNow(ctx context.Context, m TransientMail) error {
	err := s.sendNow(ctx, m)
	attrs := []any{slog.String("mail", m.ID), slog.String("kind", m.Kind), slog.String("tenant", string(m.Tenant))}
	if err == nil {
		s.log.InfoContext(ctx, "an e-mail without a record was sent", attrs...)
		return nil
	}
	refused := (*MailError)(nil)
	if !errors.As(err, &refused) {
		refused = &MailError{Reason: "network", Err: err}
	}
	// What the server said may quote the mail.
	s.log.WarnContext(ctx, "an e-mail without a record was not sent", append(attrs,
		slog.String("reason", refused.Reason), slog.Int("code", refused.Code), slog.Bool("permanent", refused.Permanent))...)
	return &MailError{Reason: refused.Reason, Permanent: refused.Permanent, Code: refused.Code, Err: errSecretMail}
}

// errSecretMail stands for a cause that may quote the mail.
var errSecretMail = errors.New("the cause is not shown, since it may quote the mail")

func (s *Service) sendNow(ctx context.Context, m TransientMail) error {
	if s.cfg.Mail == nil {
		return &MailError{Reason: codeNoEmail, Permanent: true, Err: errors.New("no Config.Mail")}
	}
	if !validAddress(m.To.Address) {
		return &MailError{Reason: "invalid_address", Permanent: true, Err: errors.New("no valid address")}
	}
	if err := s.countNow(ctx, m); err != nil {
		return err
	}
	err := s.cfg.Mail.Send(ctx, Mail{
		ID: m.ID, To: mail.Address{Name: oneLine(m.To.Name), Address: m.To.Address}, Subject: oneLine(m.Subject),
		Text: m.Text, HTML: m.HTML, Date: m.Date, Secret: true,
	})
	return err
}

// countNow counts an e-mail of a tenant. A further try counts again.
func (s *Service) countNow(ctx context.Context, m TransientMail) error {
	if m.Tenant == platform.NoTenant {
		return nil
	}
	limits, err := s.cfg.Limits.Of(ctx, m.Tenant)
	if err != nil {
		return err
	}
	limits.EmailsPerDay = -1 // who asked for it was told that it goes
	err = s.db.InTenant(ctx, m.Tenant, func(ctx context.Context, tx store.Tx) error {
		return quota.Take(ctx, tx, s.cfg.Now(), mailCharges(limits, mailCharge{address: m.To.Address})...)
	}, store.Reserved)
	if errors.Is(err, platform.ErrLimited) {
		return &MailError{Reason: reasonLimit, Permanent: true, Err: err}
	}
	if err != nil {
		return fmt.Errorf("notify: count an e-mail: %w", err)
	}
	return nil
}
