package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/test/testseal"
	"github.com/acme/platform/internal/test/teststack"
	"github.com/acme/platform/notify"
	"github.com/acme/platform/standard"
	"github.com/acme/platform/store"
	"github.com/acme/platform/store/consumer"
	"github.com/acme/platform/store/postgres"
	"github.com/acme/platform/store/queue"
	"github.com/acme/platform/user"
)

// orderPlaced is the host's event, and the payload of its job.
type orderPlaced struct {
	Order string `json:"order"`
}

const shipOrder queue.Kind[orderPlaced] = "shop.order.ship"

// shop is a host with a table of its own beside the whole platform.
type shop struct {
	*standard.Platform
	tenant              platform.TenantID
	events, jobs, mails chan string

	// place writes the order's row and whatever work does, in one transaction.
	// The host's part fails after that where it is told to.
	place func(ctx context.Context, order string, hostFails bool, work func(context.Context, store.Tx) error) error
	// orders are the rows of the host's table.
	orders func(t *testing.T) []string
}

var errShop = errors.New("the shop has second thoughts")

// Send implements [notify.Mailer].
func (s *shop) Send(_ context.Context, m notify.Mail) error {
	s.mails <- m.Text
	return nil
}

// openShop assembles the platform over a store, with a consumer and a job of the
// host's.
func openShop(t *testing.T, cfg standard.Config) *shop {
	t.Helper()
	s := &shop{events: make(chan string, 100), jobs: make(chan string, 100), mails: make(chan string, 100)}
	cfg.Mail = s
	cfg.Modules = func(p standard.Parts) ([]platform.Module, error) {
		queue.Handle(p.Jobs, shipOrder, func(_ context.Context, job queue.Job, o orderPlaced) error {
			s.jobs <- fmt.Sprint(job.Tenant, " ", o.Order)
			return nil
		}, queue.Options{})
		billing, err := consumer.New(consumer.Config{Name: "billing", DB: p.DB, Events: p.Events},
			consumer.On("shop.order.placed", func(_ context.Context, tx store.Tx, e platform.Event, o orderPlaced) error {
				s.events <- fmt.Sprint(tx.Tenant(), " ", o.Order, " by ", e.Actor)
				return nil
			}))
		return []platform.Module{billing}, err
	}
	var err error
	if s.Platform, err = standard.Open(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	owner, err := s.Users.SignUp(t.Context(), user.SignUp{
		Email: "ann@example.com", Password: "correct horse battery", Name: "Ann", Organization: "The shop",
	})
	if err != nil {
		t.Fatal(err)
	}
	s.tenant = owner.Organization.ID
	return s
}

// onSQLiteShop runs the host's statements in the platform's transaction.
func onSQLiteShop(t *testing.T) *shop {
	s := openShop(t, standard.Config{Data: t.TempDir()})
	if err := s.DB.Migrate(t.Context(), store.Migrations{Component: "shop", Files: fstest.MapFS{"sqlite/0001_orders.sql": {
		Data: []byte("CREATE TABLE orders (tenant TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (tenant, id)) WITHOUT ROWID;"),
	}}}); err != nil {
		t.Fatal(err)
	}
	s.place = func(ctx context.Context, order string, hostFails bool, work func(context.Context, store.Tx) error) error {
		return s.DB.InTenant(ctx, s.tenant, func(ctx context.Context, tx store.Tx) error {
			if _, err := tx.Exec(ctx, "INSERT INTO orders (tenant, id) VALUES (?, ?)", tx.Tenant(), order); err != nil {
				return err
			}
			if err := work(ctx, tx); err != nil || !hostFails {
				return err
			}
			return errShop
		})
	}
	s.orders = func(t *testing.T) (ids []string) {
		t.Helper()
		if err := s.DB.InTenant(t.Context(), s.tenant, func(ctx context.Context, tx store.Tx) error {
			ids = nil
			return tx.NewSelect().Table("orders").Column("id").Where("tenant = ?", tx.Tenant()).Order("id").Scan(ctx, &ids)
		}, store.ReadOnly); err != nil {
			t.Fatal(err)
		}
		return ids
	}
	return s
}

// onPostgresShop joins the host's own transaction, on the host's own pool.
func onPostgresShop(t *testing.T) *shop {
	url := teststack.Postgres(t)
	s := openShop(t, standard.Config{Relational: postgres.Open(url), Sealer: testseal.Opener(), PublicURL: "https://shop.test"})
	host, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { host.Close() })
	if _, err := host.ExecContext(t.Context(), "CREATE SCHEMA shop; CREATE TABLE shop.orders (id TEXT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	joiner, ok := s.DB.(store.Joiner)
	if !ok {
		t.Fatalf("%T joins no transaction of a host", s.DB)
	}
	s.place = func(ctx context.Context, order string, hostFails bool, work func(context.Context, store.Tx) error) error {
		tx, err := host.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(ctx, "INSERT INTO shop.orders (id) VALUES ($1)", order); err != nil {
			return err
		}
		if err := joiner.Join(ctx, tx, s.tenant, work); err != nil {
			return err
		}
		if hostFails {
			return errShop
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		joiner.Wake()
		return nil
	}
	s.orders = func(t *testing.T) (ids []string) {
		t.Helper()
		rows, err := host.QueryContext(t.Context(), "SELECT id FROM shop.orders ORDER BY id")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		return ids
	}
	return s
}

// work is what the platform does for an order: an event, a job and a message.
func (s *shop) work(order string, fails bool) func(context.Context, store.Tx) error {
	return func(ctx context.Context, tx store.Tx) error {
		p := platform.System(tx.Tenant(), "shop")
		placed := orderPlaced{Order: order}
		event, err := platform.NewEvent(p, "shop.order.placed", "order/"+order, placed)
		if err != nil {
			return err
		}
		if err := tx.Emit(ctx, event); err != nil {
			return err
		}
		if _, err := queue.Enqueue(ctx, s.Jobs, tx, shipOrder, placed); err != nil {
			return err
		}
		if _, err := s.Messages.SendIn(ctx, p, tx, notify.Message{
			Emails: []string{"customer@example.com"}, Channels: []notify.Channel{notify.ChannelEmail}, Title: "Thanks", Body: "order " + order,
		}); err != nil {
			return err
		}
		if fails {
			return errShop
		}
		return nil
	}
}

// TestHostTransaction shows that a host's business row, an event, a job and a
// message commit together or not at all: where the host fails, where the
// platform's part fails, and where all goes well, many at once.
func TestHostTransaction(t *testing.T) {
	for name, open := range map[string]func(*testing.T) *shop{embedded: onSQLiteShop, "postgres": onPostgresShop} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			const each = 5
			var (
				all  sync.WaitGroup
				want []string
			)
			for i := range each {
				good := fmt.Sprint("good", i)
				want = append(want, good)
				all.Go(func() {
					if err := s.place(ctx, fmt.Sprint("host", i), true, s.work(fmt.Sprint("host", i), false)); !errors.Is(err, errShop) {
						t.Errorf("the host fails: %v", err)
					}
					if err := s.place(ctx, fmt.Sprint("work", i), false, s.work(fmt.Sprint("work", i), true)); !errors.Is(err, errShop) {
						t.Errorf("the platform's part fails: %v", err)
					}
					if err := s.place(ctx, good, false, s.work(good, false)); err != nil {
						t.Errorf("place %s: %v", good, err)
					}
				})
			}
			all.Wait()
			if got := s.orders(t); !slices.Equal(got, want) {
				t.Errorf("the host has the orders %v, want %v", got, want)
			}
			for what, c := range map[string]struct {
				from chan string
				text func(order string) string
			}{
				"events":   {s.events, func(o string) string { return string(s.tenant) + " " + o + " by shop" }},
				"jobs":     {s.jobs, func(o string) string { return string(s.tenant) + " " + o }},
				"messages": {s.mails, func(o string) string { return "order " + o }},
			} {
				var got, wanted []string
				for _, order := range want {
					wanted = append(wanted, c.text(order))
					select {
					case one := <-c.from:
						got = append(got, one)
					case <-ctx.Done():
						t.Fatalf("of the %s only %v came", what, got)
					}
				}
				slices.Sort(got)
				if !slices.Equal(got, wanted) {
					t.Errorf("the %s are %q, want %q", what, got, wanted)
				}
			}
			// Nothing is left that could still come.
			for what, c := range map[string]chan string{"event": s.events, "job": s.jobs, "message": s.mails} {
				if len(c) > 0 {
					t.Errorf("one more %s: %s", what, <-c)
				}
			}
		})
	}
}
