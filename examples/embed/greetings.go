package main

import (
	"context"
	"embed"
	"encoding/json"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

//go:embed migrations
var migrations embed.FS

// greetings is a module of the host's own: it has a table and two routes. It
// uses the platform's store, so it is kept apart by tenant like everything
// else, and the gateway asks for its permission before it is called.
type greetings struct {
	db  store.Relational
	log *slog.Logger
	now func() time.Time
}

// Name implements [platform.Module].
func (*greetings) Name() string { return "greetings" }

// Start implements [platform.Starter].
func (g *greetings) Start(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	return g.db.Migrate(ctx, store.Migrations{Component: "greetings", Files: files})
}

// Routes implements [platform.Router].
func (g *greetings) Routes() []platform.Route {
	return []platform.Route{
		{
			Operation: "host.greetings.create", Method: http.MethodPost, Path: "/v1/greetings",
			Access: platform.Require("host.greetings.write"), Summary: "Leave a greeting",
			Handler: http.HandlerFunc(g.create),
		},
		{
			Operation: "host.greetings.list", Method: http.MethodGet, Path: "/v1/greetings",
			Access: platform.Authenticated(), Summary: "Read the greetings of one's organization",
			Handler: http.HandlerFunc(g.list),
		},
	}
}

type greeting struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

func (g *greetings) create(w http.ResponseWriter, r *http.Request) {
	in, err := g.leave(r)
	if err != nil {
		platform.WriteProblem(w, r, g.log, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(in)
}

// leave keeps the greeting of the body. The row and its event commit together.
func (g *greetings) leave(r *http.Request) (greeting, error) {
	p, err := platform.PrincipalFrom(r.Context())
	if err != nil {
		return greeting{}, err
	}
	var body struct {
		Text string `json:"text"`
	}
	if err := platform.DecodeJSON(r, &body); err != nil {
		return greeting{}, err
	}
	if body.Text == "" {
		return greeting{}, platform.Invalid(platform.Field{Path: "/text", Code: "required", Detail: "a greeting needs a text"})
	}
	in := greeting{ID: platform.NewID("grt"), Text: body.Text}
	return in, g.db.InTenant(r.Context(), p.Tenant, func(ctx context.Context, tx store.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO greetings (tenant, id, text, at) VALUES (?, ?, ?, ?)",
			tx.Tenant(), in.ID, in.Text, g.now().UnixMicro()); err != nil {
			return err
		}
		event, err := platform.NewEvent(p, "host.greeting.created", "greeting/"+in.ID, in)
		if err != nil {
			return err
		}
		return tx.Emit(ctx, event)
	})
}

func (g *greetings) list(w http.ResponseWriter, r *http.Request) {
	all, err := g.all(r.Context())
	if err != nil {
		platform.WriteProblem(w, r, g.log, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"data": all})
}

func (g *greetings) all(ctx context.Context) ([]greeting, error) {
	p, err := platform.PrincipalFrom(ctx)
	if err != nil {
		return nil, err
	}
	all := []greeting{}
	err = g.db.InTenant(ctx, p.Tenant, func(ctx context.Context, tx store.Tx) error {
		return tx.NewSelect().Table("greetings").Column("id", "text").
			Where("tenant = ?", tx.Tenant()).Order("at").Limit(100).Scan(ctx, &all)
	}, store.ReadOnly)
	return all, err
}
