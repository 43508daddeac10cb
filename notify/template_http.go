package notify

import (
	"context"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/page"
	"github.com/acme/platform/internal/rest"
)

type templateWire struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Title     string    `json:"title"`
	Body      string    `json:"body"`
	HTML      string    `json:"html,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

type templateInput struct {
	Body struct {
		Name  string `json:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" doc:"Unique; letters, digits, '.', '_', '-'" example:"welcome"`
		Title string `json:"title" doc:"Go text/template; one line" example:"Welcome, {{.name}}"`
		Body  string `json:"body,omitempty" doc:"Go text/template" example:"Good to have you, {{.name}}."`
		HTML  string `json:"html,omitempty" doc:"Go html/template, the alternative for e-mail"`
	}
}

type templatePatch struct {
	ID   string `path:"id" maxLength:"100" doc:"The id that lists and answers show"`
	Body struct {
		Name  *string `json:"name,omitempty" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"`
		Title *string `json:"title,omitempty"`
		Body  *string `json:"body,omitempty"`
		HTML  *string `json:"html,omitempty"`
	}
}

type previewInput struct {
	Body struct {
		Template  string         `json:"template,omitempty" doc:"Id or name of a kept template; or give title, body and html"`
		Title     string         `json:"title,omitempty" example:"Welcome, {{.name}}"`
		Body      string         `json:"body,omitempty"`
		HTML      string         `json:"html,omitempty"`
		Variables map[string]any `json:"variables,omitempty" doc:"What the template calls .name, by name" example:"{\"name\": \"Ann\"}"`
	}
}

type previewWire struct {
	Title string `json:"title"`
	Body  string `json:"body"`
	HTML  string `json:"html,omitempty"`
}

func wireTemplate(t Template) templateWire {
	return templateWire(t)
}

func (s *Service) registerTemplates() {
	const path, one = "/v1/notify/templates", "/v1/notify/templates/{id}"
	handle(s, with(operation("notify.templates.create", http.MethodPost, path, permTemplatesWrite, "Create a template"),
		http.StatusCreated, 0), s.httpCreateTemplate)
	handle(s, operation("notify.templates.list", http.MethodGet, path, permTemplatesRead, "List templates"), s.httpTemplates)
	handle(s, operation("notify.templates.get", http.MethodGet, one, permTemplatesRead, "Get a template"), s.httpTemplate)
	handle(s, operation("notify.templates.update", http.MethodPatch, one, permTemplatesWrite, "Change a template"), s.httpUpdateTemplate)
	handle(s, operation("notify.templates.delete", http.MethodDelete, one, permTemplatesWrite, "Delete a template"), s.httpDeleteTemplate)
	handle(s, again(operation("notify.templates.preview", http.MethodPost, path+"/preview", permTemplatesRead, "Render a template without sending")), s.httpPreview)
}

func (s *Service) httpCreateTemplate(ctx context.Context, p platform.Principal, in *templateInput) (*created[templateWire], error) {
	t, err := s.CreateTemplate(ctx, p, Template{Name: in.Body.Name, Title: in.Body.Title, Body: in.Body.Body, HTML: in.Body.HTML}, rest.IdempotencyKey(ctx))
	if err != nil {
		return nil, err
	}
	return &created[templateWire]{"/v1/notify/templates/" + t.ID, wireTemplate(t)}, nil
}

func (s *Service) httpTemplates(ctx context.Context, p platform.Principal, in *page.Input) (*ok[page.Output[templateWire]], error) {
	list, next, err := s.Templates(ctx, p, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	return wires(list, next, wireTemplate), nil
}

func (s *Service) httpTemplate(ctx context.Context, p platform.Principal, in *byID) (*ok[templateWire], error) {
	t, err := s.Template(ctx, p, in.ID)
	if err != nil {
		return nil, err
	}
	return &ok[templateWire]{wireTemplate(t)}, nil
}

func (s *Service) httpUpdateTemplate(ctx context.Context, p platform.Principal, in *templatePatch) (*ok[templateWire], error) {
	b := &in.Body
	t, err := s.UpdateTemplate(ctx, p, in.ID, func(t *Template) {
		set(&t.Name, b.Name)
		set(&t.Title, b.Title)
		set(&t.Body, b.Body)
		set(&t.HTML, b.HTML)
	})
	if err != nil {
		return nil, err
	}
	return &ok[templateWire]{wireTemplate(t)}, nil
}

// set changes what a patch names.
func set[T any](field, value *T) {
	if value != nil {
		*field = *value
	}
}

func (s *Service) httpDeleteTemplate(ctx context.Context, p platform.Principal, in *byID) (*empty, error) {
	if err := s.DeleteTemplate(ctx, p, in.ID); err != nil {
		return nil, err
	}
	return &empty{}, nil
}

func (s *Service) httpPreview(ctx context.Context, p platform.Principal, in *previewInput) (*ok[previewWire], error) {
	t := Template{Title: in.Body.Title, Body: in.Body.Body, HTML: in.Body.HTML}
	if in.Body.Template != "" {
		var err error
		if t, err = s.Template(ctx, p, in.Body.Template); err != nil {
			return nil, err
		}
	}
	var (
		w   previewWire
		err error
	)
	w.Title, w.Body, w.HTML, err = s.Preview(ctx, t, in.Body.Variables)
	if err != nil {
		return nil, err
	}
	return &ok[previewWire]{w}, nil
}
