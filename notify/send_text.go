package notify

import (
	"context"
	"errors"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// draft makes the text of a message, outside of a transaction that writes: what
// a tenant's template does must hold up nobody. Where the message is a repeated
// one, it returns that instead, whose template may be gone.
func (s *Service) draft(ctx context.Context, p platform.Principal, m Message) (draft, *SentMessage, error) {
	digest, err := m.digest(sender(p).Subject)
	if err != nil {
		return draft{}, nil, err
	}
	d := draft{Message: m, by: sender(p), digest: digest, text: rendered{m.Title, m.Body, m.HTML}}
	if m.Template == "" {
		return d, nil, nil
	}
	var (
		t       Template
		earlier *SentMessage
	)
	err = s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		if m.ID != "" {
			if earlier, err = repeated(ctx, tx, m.ID, digest); err != nil || earlier != nil {
				return err
			}
		}
		t, err = givenTemplate(ctx, tx, m.Template)
		return err
	}, store.ReadOnly)
	if err != nil || earlier != nil {
		return draft{}, earlier, err
	}
	d.text, err = renderText(ctx, t, m.Variables)
	return d, nil, err
}

// givenTemplate is readTemplate for a template that a caller names in a field.
func givenTemplate(ctx context.Context, tx store.Tx, ref string) (Template, error) {
	t, err := readTemplate(ctx, tx, ref)
	if errors.Is(err, platform.ErrNotFound) {
		return t, platform.Invalid(platform.Field{Path: "/template", Code: "unknown", Detail: "must be the id or name of a template"})
	}
	return t, err
}

// renderText renders a template with a caller's variables.
func renderText(ctx context.Context, t Template, values map[string]any) (rendered, error) {
	c, err := compile(t.Title, t.Body, t.HTML)
	if err != nil {
		return rendered{}, err
	}
	data, err := variables(values)
	if err != nil {
		return rendered{}, err
	}
	r, _, err := c.render(ctx, data, "/variables")
	return r, err
}

// renderLater is renderText for a message that was accepted before. A template
// without an id is one that has been deleted since.
func renderLater(ctx context.Context, t Template, values map[string]any) (rendered, error) {
	if t.ID == "" {
		return rendered{}, platform.Invalid(platform.Field{Path: "/template", Code: "unknown", Detail: "the template was deleted before the text was made"})
	}
	return renderText(ctx, t, values)
}
