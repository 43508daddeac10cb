package standard

import (
	"context"
	"errors"
	"net/mail"

	"github.com/acme/platform"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/user"
)

// Mails returns a user.Config.Mail that words each mail by texts and has messages
// send it, which keeps no text. messages is called when the first mail leaves,
// since users are made before messages are. Nil texts are those of [MailTexts].
func Mails(messages func() *notify.Service, texts Texts) func(context.Context, user.Mail) error {
	if texts == nil {
		texts = MailTexts()
	}
	return func(ctx context.Context, m user.Mail) error {
		text, err := texts.word(m)
		if err != nil {
			return queue.Discard(err)
		}
		tenant := m.Organization
		if tenant == "" {
			tenant = platform.NoTenant
		}
		err = messages().SendNow(ctx, notify.TransientMail{
			ID: m.ID, Kind: string(m.Kind), Tenant: tenant, To: mail.Address{Name: m.Name, Address: m.To},
			Subject: text.subject, Text: text.plain, HTML: text.html, Date: m.CreatedAt,
		})
		if refused := (*notify.MailError)(nil); errors.As(err, &refused) && refused.Permanent {
			return queue.Discard(err)
		}
		return err
	}
}
