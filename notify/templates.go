package notify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/idempotency"
)

// Template is the text of messages, with variables. Title and Body are
// text/template, HTML is html/template, which escapes what it inserts. A
// variable that is not given is an error, not an empty place.
//
// The functions are and, or, not, eq, ne, lt, le, gt, ge, len, index, slice
// and print (which puts nothing between its arguments), join (separator,
// list), upper, lower, trim and default (fallback, value). There is no
// define, block or template.
//
// A rendering may take 100,000 steps, where each function, variable and piece of
// text that is reached is one and a loop counts all that is in it, and may work
// on 1 MiB: what functions read and make, what is inserted and what is written.
type Template struct {
	ID string
	// Name is unique in the tenant: letters, digits, '.', '_' and '-', at
	// most 64 bytes, and no id ("tpl_…").
	Name string
	// Title makes one line, at most 1 KiB of source; Body at most 32 KiB.
	Title, Body string
	// HTML is the alternative for e-mail, at most 64 KiB, or empty.
	HTML                 string
	CreatedAt, UpdatedAt time.Time
}

const (
	templateList    = "notify.templates"
	templateColumns = `id, name, title, body, html, created_at, updated_at`
)

var templateName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (t *Template) validate() error {
	var f fields
	if !templateName.MatchString(t.Name) || len(t.Name) > 4 && t.Name[:4] == "tpl_" {
		f.add("/name", "format", `must be at most 64 letters, digits, '.', '_' and '-', and not begin with "tpl_"`)
	}
	if _, err := compile(t.Title, t.Body, t.HTML); err != nil {
		f.merge(err)
	}
	return f.err()
}

func scanTemplate(scan func(...any) error) (t Template, err error) {
	var created, updated int64
	err = scan(&t.ID, &t.Name, &t.Title, &t.Body, &t.HTML, &created, &updated)
	t.CreatedAt, t.UpdatedAt = micros(created), micros(updated)
	return t, err
}

// readTemplate finds a template by id or name.
func readTemplate(ctx context.Context, tx store.Tx, ref string) (Template, error) {
	t, err := scanTemplate(tx.QueryRow(ctx, `SELECT `+templateColumns+` FROM notify_templates
WHERE tenant = ? AND (id = ? OR name = ?)`, tx.Tenant(), ref, ref).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return t, platform.NotFound("template")
	}
	if err != nil {
		return t, fmt.Errorf("notify: read template: %w", err)
	}
	return t, nil
}

// CreateTemplate keeps a new template; its ID and times are the service's.
// Errors: KindInvalid, with the line of what is wrong in a source;
// KindConflict "template_exists"; KindForbidden "limit_exceeded" beyond the limit
// "notify.templates".
func (s *Service) CreateTemplate(ctx context.Context, p platform.Principal, t Template, keys ...*platform.IdempotencyKey) (Template, error) {
	if err := p.RequireTenant(); err != nil {
		return Template{}, err
	}
	if err := t.validate(); err != nil {
		return Template{}, err
	}
	limits, err := s.cfg.Limits.Of(ctx, p.Tenant) // it may read a store of its own
	if err != nil {
		return Template{}, err
	}
	call, err := s.repeats.Call(ctx, idempotency.Only(keys), p, "notify.templates.create", t)
	if err != nil {
		return Template{}, err
	}
	t.ID = s.cfg.NewID("tpl")
	t.CreatedAt = micros(s.stamp())
	t.UpdatedAt = t.CreatedAt
	var out Template
	err = inTenantLarge(ctx, s, p, call, &out, &out.ID, readTemplate, func(ctx context.Context, tx store.Tx) error {
		if err := lockRuleset(ctx, tx); err != nil {
			return err
		}
		err := underLimit(ctx, tx, limitTemplates, countTemplates, limits.Templates)
		if err != nil {
			return err
		}
		if err := nameIsFree(ctx, tx, t.Name, ""); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO notify_templates (tenant, `+templateColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			p.Tenant, t.ID, t.Name, t.Title, t.Body, t.HTML, t.CreatedAt.UnixMicro(), t.UpdatedAt.UnixMicro())
		if err != nil {
			return fmt.Errorf("notify: create template: %w", err)
		}
		out = t
		return s.emit(ctx, tx, "notify.template.created", t.ID, p, map[string]string{"id": t.ID, "name": t.Name})
	})
	return out, err
}

const countTemplates = `SELECT count(*) FROM notify_templates WHERE tenant = ?`

func nameIsFree(ctx context.Context, tx store.Tx, name, id string) error {
	other, err := readTemplate(ctx, tx, name)
	switch {
	case errors.Is(err, platform.ErrNotFound) || err == nil && other.ID == id:
		return nil
	case err != nil:
		return err
	}
	return platform.Errorf(platform.KindConflict, "template_exists", "a template has this name")
}

// Template finds a template by id or name. Error: KindNotFound.
func (s *Service) Template(ctx context.Context, p platform.Principal, ref string) (Template, error) {
	if err := p.RequireTenant(); err != nil {
		return Template{}, err
	}
	var t Template
	err := s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		var err error
		t, err = readTemplate(ctx, tx, ref)
		return err
	}, store.ReadOnly)
	return t, err
}

// Templates returns a page of the tenant's templates, by id.
func (s *Service) Templates(ctx context.Context, p platform.Principal, limit int, cursor string) ([]Template, string, error) {
	if err := p.RequireTenant(); err != nil {
		return nil, "", err
	}
	return list(ctx, s, p.Tenant, templateList, `SELECT `+templateColumns+` FROM notify_templates WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?`,
		limit, cursor, func(rows *sql.Rows) (Template, error) { return scanTemplate(rows.Scan) }, func(t Template) string { return t.ID })
}

// list returns a page of rows by id.
func list[T any](ctx context.Context, s *Service, tenant platform.TenantID, name, query string, limit int, cursor string,
	scan func(*sql.Rows) (T, error), id func(T) string,
) ([]T, string, error) {
	key, err := page.Key(name, 1, cursor)
	if err != nil {
		return nil, "", err
	}
	after := ""
	if key != nil {
		after = key[0]
	}
	var out []T
	err = s.db.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		rows, err := tx.Query(ctx, query, tenant, after, limit+1)
		out, err = collect(rows, err, scan)
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, "", fmt.Errorf("notify: list %s: %w", name, err)
	}
	out, next := page.Cut(name, out, limit, func(v T) []string { return []string{id(v)} })
	return out, next, nil
}

// UpdateTemplate replaces a template after change has been applied to it;
// rules use the new text for the events that come next. change may be called
// again where another update comes between. Errors: those of CreateTemplate,
// and KindNotFound.
func (s *Service) UpdateTemplate(ctx context.Context, p platform.Principal, ref string, change func(*Template)) (Template, error) {
	if err := p.RequireTenant(); err != nil {
		return Template{}, err
	}
	for {
		old, err := s.Template(ctx, p, ref)
		if err != nil {
			return Template{}, err
		}
		t := old
		change(&t)
		t.ID, t.CreatedAt, t.UpdatedAt = old.ID, old.CreatedAt, micros(s.stamp())
		if err := t.validate(); err != nil { // it compiles, which no transaction must wait for
			return Template{}, err
		}
		err = s.replaceTemplate(ctx, p, ref, old, t)
		if !errors.Is(err, errChanged) {
			return t, err
		}
	}
}

// errChanged says that what a change was made to has changed meanwhile.
var errChanged = errors.New("notify: changed meanwhile")

// replaceTemplate writes t where the template is still the old one.
func (s *Service) replaceTemplate(ctx context.Context, p platform.Principal, ref string, old, t Template) error {
	return s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		if err := lockRuleset(ctx, tx); err != nil {
			return err
		}
		now, err := readTemplate(ctx, tx, ref)
		if err != nil {
			return err
		}
		if now != old {
			return errChanged
		}
		if err := nameIsFree(ctx, tx, t.Name, t.ID); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE notify_templates SET name = ?, title = ?, body = ?, html = ?, updated_at = ? WHERE tenant = ? AND id = ?`,
			t.Name, t.Title, t.Body, t.HTML, t.UpdatedAt.UnixMicro(), p.Tenant, t.ID)
		if err != nil {
			return fmt.Errorf("notify: update template: %w", err)
		}
		return s.emit(ctx, tx, "notify.template.updated", t.ID, p, map[string]string{"id": t.ID, "name": t.Name})
	})
}

// DeleteTemplate removes a template. Errors: KindNotFound; KindConflict
// "template_in_use" where a rule refers to it.
func (s *Service) DeleteTemplate(ctx context.Context, p platform.Principal, ref string) error {
	if err := p.RequireTenant(); err != nil {
		return err
	}
	return s.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		if err := lockRuleset(ctx, tx); err != nil {
			return err
		}
		t, err := readTemplate(ctx, tx, ref)
		if err != nil {
			return err
		}
		var rules int
		err = tx.QueryRow(ctx, `SELECT count(*) FROM notify_rules WHERE tenant = ? AND template = ?`, p.Tenant, t.ID).Scan(&rules)
		if err != nil {
			return fmt.Errorf("notify: rules of a template: %w", err)
		}
		if rules > 0 {
			return platform.Errorf(platform.KindConflict, "template_in_use", "%d rules refer to this template", rules)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM notify_templates WHERE tenant = ? AND id = ?`, p.Tenant, t.ID); err != nil {
			return fmt.Errorf("notify: delete template: %w", err)
		}
		return s.emit(ctx, tx, "notify.template.deleted", t.ID, p, map[string]string{"id": t.ID, "name": t.Name})
	})
}

// Preview renders a template, which need not be kept, with variables. Errors:
// KindInvalid, at "/variables" where one is missing or the rendering takes more
// than it may.
func (*Service) Preview(ctx context.Context, t Template, values map[string]any) (title, body, html string, err error) {
	r, err := renderText(ctx, t, values)
	return r.title, r.body, r.html, err
}
