package user

import (
	"context"

	"github.com/acme/platform/store"
)

// MailAgain has a mail sent once more.
func (s *Service) MailAgain(ctx context.Context, tx store.Tx, id string) error {
	return s.enqueueMail(ctx, tx, id)
}
