package notify

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/uptrace/bun"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

// rulesetTenants is how many tenants' rulesets are kept in memory.
const rulesetTenants = 4096

// ruleset is what the events of a tenant are held against: its rules and its
// endpoints. It does not change once it is made.
type ruleset struct {
	generation int64
	rules      []*activeRule
	endpoints  []endpointEntry
	failing    map[string]bool // ids of rules whose texts exceeded their budget last
}

type endpointEntry struct {
	id    string
	types []string
}

// rulesets keeps the rulesets of tenants. Each change of a rule, a template or an
// endpoint raises the tenant's generation in its own transaction, and each
// batch of events reads the generations first: a ruleset is never older than the
// events that it is applied to, in however many processes.
type rulesets struct {
	cfg     Config
	cross   store.Crossing
	builtin []*activeRule
	none    *ruleset // of a tenant that has never changed anything
	kept    *lru.Cache[platform.TenantID, *ruleset]
}

func newRulesets(cfg Config) (*rulesets, error) {
	b := &rulesets{cfg: cfg, cross: newCrossings(cfg.DB).rules}
	for _, r := range cfg.Rules {
		r.Builtin = true
		active, err := activate(r, nil, make(map[source]*text))
		if err != nil { // withDefaults has validated it
			return nil, fmt.Errorf("notify: rule %s: %w", r.ID, err)
		}
		b.builtin = append(b.builtin, active)
	}
	b.none = &ruleset{rules: enabled(b.builtin)}
	var err error
	b.kept, err = lru.New[platform.TenantID, *ruleset](rulesetTenants)
	return b, err
}

func enabled(rules []*activeRule) []*activeRule {
	var out []*activeRule
	for _, r := range rules {
		if !r.Disabled {
			out = append(out, r)
		}
	}
	return out
}

// of returns the current rulesets of the tenants.
func (b *rulesets) of(ctx context.Context, tenants []platform.TenantID) (map[platform.TenantID]*ruleset, error) {
	generations, err := b.generations(ctx, tenants)
	if err != nil {
		return nil, err
	}
	out := make(map[platform.TenantID]*ruleset, len(tenants))
	for _, t := range tenants {
		generation := generations[t]
		if generation == 0 {
			out[t] = b.none
			continue
		}
		if kept, ok := b.kept.Get(t); ok && kept.generation >= generation {
			out[t] = kept
			continue
		}
		kept, _ := b.kept.Peek(t)
		read, err := b.read(ctx, t, kept)
		if err != nil {
			return nil, err
		}
		b.kept.Add(t, read)
		out[t] = read
	}
	return out, nil
}

// generations reads those of all tenants of a batch at once; it looks at
// nothing else of theirs.
func (b *rulesets) generations(ctx context.Context, tenants []platform.TenantID) (map[platform.TenantID]int64, error) {
	out := make(map[platform.TenantID]int64, len(tenants))
	scan := func(rows *sql.Rows, err error) error {
		_, err = collect(rows, err, func(rows *sql.Rows) (_ struct{}, err error) {
			var (
				t platform.TenantID
				n int64
			)
			err = rows.Scan(&t, &n)
			out[t] = n
			return struct{}{}, err
		})
		return err
	}
	var err error
	if len(tenants) == 1 {
		err = b.cfg.DB.InTenant(ctx, tenants[0], func(ctx context.Context, tx store.Tx) error {
			rows, err := tx.Query(ctx, `SELECT tenant, generation FROM notify_generations WHERE tenant = ?`, tenants[0]) //nolint:rowserrcheck // scan looks at it
			return scan(rows, err)
		}, store.ReadOnly)
	} else {
		err = b.cfg.DB.AcrossTenants(ctx, b.cross, func(ctx context.Context, tx store.CrossTx) error {
			rows, err := tx.NewSelect().Table("notify_generations").Column("tenant", "generation").
				Where("tenant IN (?)", bun.List(tenants)).Rows(ctx) //nolint:rowserrcheck // scan looks at it
			return scan(rows, err)
		}, store.ReadOnly)
	}
	if err != nil {
		return nil, fmt.Errorf("notify: read generations: %w", err)
	}
	return out, nil
}

// read reads a tenant's ruleset from the store. What earlier, which may be nil,
// has compiled already is taken from there: a tenant that changes one rule
// again and again must not have all of them compiled each time.
func (b *rulesets) read(ctx context.Context, tenant platform.TenantID, earlier *ruleset) (*ruleset, error) {
	var (
		out       = &ruleset{failing: make(map[string]bool)}
		rules     []Rule
		templates = make(map[string]*Template)
		off       map[string]builtinSwitch
	)
	err := b.cfg.DB.InTenant(ctx, tenant, func(ctx context.Context, tx store.Tx) error {
		err := tx.QueryRow(ctx, `SELECT generation FROM notify_generations WHERE tenant = ?`, tenant).Scan(&out.generation)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if off, err = builtinSwitches(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `SELECT `+ruleColumns+` FROM notify_rules WHERE tenant = ? AND disabled = 0 ORDER BY id`, tenant)
		if rules, err = collect(rows, err, scanRule); err != nil {
			return err
		}
		for _, r := range rules {
			if r.Template != "" && templates[r.Template] == nil {
				t, err := readTemplate(ctx, tx, r.Template)
				if err != nil && !errors.Is(err, platform.ErrNotFound) {
					return err
				}
				templates[r.Template] = &t
			}
		}
		rows, err = tx.Query(ctx, `SELECT rule FROM notify_rule_failures WHERE tenant = ? AND strikes > 0`, tenant)
		_, err = collect(rows, err, func(rows *sql.Rows) (_ struct{}, err error) {
			var id string
			err = rows.Scan(&id)
			out.failing[id] = true
			return struct{}{}, err
		})
		if err != nil {
			return err
		}
		rows, err = tx.Query(ctx, `SELECT id, types FROM notify_endpoints WHERE tenant = ? AND disabled = 0 ORDER BY id`, tenant)
		out.endpoints, err = collect(rows, err, func(rows *sql.Rows) (e endpointEntry, err error) {
			var types string
			err = rows.Scan(&e.id, &types)
			e.types = strings.Fields(types)
			return e, err
		})
		return err
	}, store.ReadOnly)
	if err != nil {
		return nil, fmt.Errorf("notify: read rules and endpoints: %w", err)
	}
	for _, r := range b.builtin {
		if b, said := off[r.ID]; !b.disabled && (said || !r.Disabled) {
			out.rules = append(out.rules, r)
		}
	}
	texts := earlier.texts()
	for _, r := range rules {
		active, err := activate(r, templates[r.Template], texts)
		if err != nil { // a rule of an older version that is no longer understood must not stop the others
			b.cfg.Logger.ErrorContext(ctx, "a rule cannot be applied", slog.String("tenant", string(tenant)),
				slog.String("rule", r.ID), slog.Any("error", err))
			continue
		}
		out.rules = append(out.rules, active)
	}
	return out, nil
}

// texts are those of a ruleset, by source.
func (b *ruleset) texts() map[source]*text {
	out := make(map[source]*text)
	if b != nil {
		for _, r := range b.rules {
			out[r.text.source] = r.text
		}
	}
	return out
}

// lockRuleset raises the tenant's generation and locks its row. Every transaction
// that changes a rule, a template or an endpoint begins with it, so that they
// wait for each other: what one has counted, or found to be free or unused,
// stays so until it commits.
//
// All transactions of the service take what they share in this order: the lock of
// a message's id, the rows of deliveries by id, the counters of the day, the ruleset,
// the row of an endpoint, the failures of rules by id, inbox entries, the counters
// of unread messages by user.
func lockRuleset(ctx context.Context, tx store.Tx) error {
	_, err := tx.Exec(ctx, `INSERT INTO notify_generations (tenant, generation) VALUES (?, 1)
ON CONFLICT (tenant) DO UPDATE SET generation = notify_generations.generation + 1`, tx.Tenant())
	if err != nil {
		return fmt.Errorf("notify: raise generation: %w", err)
	}
	return nil
}
