package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/quota"
)

// E-mail leaves under the host's name, so it is counted beyond what is written:
// by tenant, by the user who causes it, and by the address that gets it. A
// caller is refused as a whole and told which limit it is; of what rules make,
// the e-mails that a limit has no room for become failed deliveries.

const (
	limitEmails             = "notify.emails"
	limitEmailsPerSender    = "notify.emails_per_sender"
	limitEmailsPerRecipient = "notify.emails_per_recipient"
)

// reasonLimit is of a delivery that a limit of the day had no room for.
const reasonLimit = "rate_exceeded"

// mailCharge is an e-mail to be counted.
type mailCharge struct{ sender, address string }

// mailCharges are what e-mails use of the day's limits, in the order in which
// all take them. E-mails that no user causes have no sender.
func mailCharges(l platform.Limits, mails ...mailCharge) []quota.Charge {
	if len(mails) == 0 {
		return nil
	}
	senders, addresses := make(map[string]int64), make(map[string]int64)
	for _, m := range mails {
		if m.sender != "" {
			senders[m.sender]++
		}
		addresses[mailbox(m.address)]++
	}
	out := []quota.Charge{{Name: limitEmails, Amount: int64(len(mails)), Limit: l.EmailsPerDay}}
	for _, subject := range slices.Sorted(maps.Keys(senders)) {
		out = append(out, quota.Charge{Name: limitEmailsPerSender, Subject: subject, Amount: senders[subject], Limit: l.EmailsPerSender})
	}
	for _, subject := range slices.Sorted(maps.Keys(addresses)) {
		out = append(out, quota.Charge{Name: limitEmailsPerRecipient, Subject: subject, Amount: addresses[subject], Limit: l.EmailsPerRecipient})
	}
	return out
}

// mailbox is the subject under which e-mails to an address are counted: a hash,
// the same for all spellings that usually reach one mailbox.
func mailbox(address string) string {
	address = strings.ToLower(address)
	if i := strings.LastIndexByte(address, '@'); i >= 0 {
		local, _, _ := strings.Cut(address[:i], "+")
		address = local + address[i:]
	}
	sum := sha256.Sum256([]byte(address))
	return hex.EncodeToString(sum[:16])
}

// mails are the e-mails that plans are about to write.
func mails(plans ...*plan) (charges []mailCharge, rows []*deliveryRow) {
	for _, p := range plans {
		for i := range p.deliveries {
			d := &p.deliveries[i]
			if d.channel == ChannelEmail && d.status == DeliveryPending {
				charges = append(charges, mailCharge{p.message.actor, d.address})
				rows = append(rows, d)
			}
		}
	}
	return charges, rows
}

// takeMails counts the e-mails of plans that no caller waits for; those that
// a limit has no room for are marked as failed.
func (s *Service) takeMails(ctx context.Context, tx store.Tx, l platform.Limits, plans ...*plan) error {
	charges, rows := mails(plans...)
	err := quota.Take(ctx, tx, s.cfg.Now(), mailCharges(l, charges...)...)
	if !errors.Is(err, platform.ErrLimited) {
		return err
	}
	// Not all of it fits. What does is found one by one, without a question
	// where the answer is known.
	left := newMailRoom(s, l)
	for i, c := range charges {
		room, err := left.take(ctx, tx, c)
		if err != nil {
			return err
		}
		if !room {
			rows[i].status, rows[i].reason = DeliveryFailed, reasonLimit
		}
	}
	return nil
}

// mailRoom is what is known of the room that the limits still have.
type mailRoom struct {
	s *Service
	l platform.Limits
	// full are the counters without room: "" is the tenant's, a sender's and a
	// mailbox's are named.
	full map[quota.Charge]bool
}

func newMailRoom(s *Service, l platform.Limits) *mailRoom {
	return &mailRoom{s, l, make(map[quota.Charge]bool)}
}

// take counts one e-mail where there is room for it.
func (r *mailRoom) take(ctx context.Context, tx store.Tx, c mailCharge) (bool, error) {
	now := r.s.cfg.Now()
	charges := mailCharges(r.l, c)
	if slices.ContainsFunc(charges, func(c quota.Charge) bool { return r.full[c] }) {
		return false, nil
	}
	err := quota.Take(ctx, tx, now, charges...)
	if !errors.Is(err, platform.ErrLimited) {
		return err == nil, err
	}
	for _, c := range charges {
		used, err := quota.Used(ctx, tx, now, c.Name, c.Subject)
		if err != nil {
			return false, err
		}
		if c.Limit >= 0 && used >= c.Limit {
			r.full[c] = true
		}
	}
	return false, nil
}
