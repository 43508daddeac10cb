package notify

import (
	"context"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// TestEndpoint sends the endpoint an event of TestEventType, whatever types it
// takes, and returns the delivery. Errors: KindNotFound; KindConflict
// "endpoint_disabled".
func (s *Service) TestEndpoint(ctx context.Context, p platform.Principal, id string, keys ...*platform.IdempotencyKey) (Delivery, error) {
	if err := p.RequireTenant(); err != nil {
		return Delivery{}, err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "notify.endpoints.test", id)
	if err != nil {
		return Delivery{}, err
	}
	event := platform.Event{
		ID: s.cfg.NewID("evt"), Source: "/notify", Type: TestEventType, Tenant: p.Tenant, Subject: id,
		Time: s.cfg.Now(), Actor: p.Subject, Data: []byte(`{"test":true}`),
	}
	row := deliveryRow{
		id: s.cfg.NewID("dlv"), eventID: event.ID, eventType: event.Type, channel: ChannelWebhook, recipient: id,
		body: eventEnvelope(event), status: DeliveryPending, createdAt: s.stamp(),
	}
	var d Delivery
	err = s.inTenant(ctx, p, call, &d, func(ctx context.Context, tx store.Tx) error {
		e, err := readEndpoint(ctx, tx, id)
		if err != nil {
			return err
		}
		if e.Disabled {
			return platform.Errorf(platform.KindConflict, "endpoint_disabled", "the endpoint is switched off")
		}
		if err := s.write(ctx, tx, []*plan{{deliveries: []deliveryRow{row}}}); err != nil {
			return err
		}
		d, err = readDelivery(ctx, tx, row.id)
		return err
	})
	return d, err
}

// EndpointDeliveries returns a page of the deliveries to an endpoint with
// their attempts, newest first. Errors: KindNotFound; KindMalformed for a
// cursor of another list.
func (s *Service) EndpointDeliveries(ctx context.Context, p platform.Principal, id string, limit int, cursor string) ([]Delivery, string, error) {
	if err := p.RequireTenant(); err != nil {
		return nil, "", err
	}
	name := endpointList + ".deliveries." + id
	before, last, err := timeKey(name, cursor)
	if err != nil {
		return nil, "", err
	}
	var out []Delivery
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		if _, err := readEndpoint(ctx, tx, id); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT `+deliveryColumns+` FROM notify_deliveries
WHERE tenant = ? AND recipient = ? AND channel = 'webhook' AND (created_at, id) < (?, ?)
ORDER BY created_at DESC, id DESC LIMIT ?`, p.Tenant, id, before, last, limit+1)
		out, err = scanDeliveries(ctx, tx, rows, err)
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, "", err
	}
	out, next := page.Cut(name, out, limit, func(d Delivery) []string { return timeCursor(d.CreatedAt, d.ID) })
	return out, next, nil
}
