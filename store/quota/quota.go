package quota

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store"
)

//go:embed migrations
var migrations embed.FS

// Migrate makes the table of the counters. Every service that counts calls it
// when it starts; many may call it at once.
func Migrate(ctx context.Context, db store.TenantDB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil { // the folder is embedded
		return err
	}
	if err := db.Migrate(ctx, store.Migrations{Component: "quota", Files: files}); err != nil {
		return fmt.Errorf("quota: migrate: %w", err)
	}
	return nil
}

// Charge is what work uses of one limit.
type Charge struct {
	// Name is the limit's name in [platform.LimitNames].
	Name string
	// Subject tells counters of one name apart, such as a user or the hash of
	// an address. Empty is the whole tenant.
	Subject string
	// Amount is how much is used; a charge of 0 or less is left out.
	Amount int64
	// Limit is the most that may be used in a day; a negative one means no
	// limit, and the use is counted all the same.
	Limit int64
}

// Take counts the charges for the tenant of tx, all or none. The error of a
// charge that exceeds its limit is a [platform.OverRate] that ends with the day;
// the transaction can go on after it.
func Take(ctx context.Context, tx store.Tx, now time.Time, charges ...Charge) error {
	day := dayOf(now)
	for i, c := range charges {
		if c.Amount <= 0 {
			continue
		}
		granted, err := take(ctx, tx, day, c)
		if err != nil {
			return fmt.Errorf("quota: take %s: %w", c.Name, err)
		}
		if granted {
			continue
		}
		for _, g := range charges[:i] {
			if err := giveBack(ctx, tx, day, g); err != nil {
				return fmt.Errorf("quota: give back %s: %w", g.Name, err)
			}
		}
		return platform.OverRate(c.Name, c.Limit, Resets(now).Sub(now))
	}
	return nil
}

// take counts one charge unless that exceeds its limit. The condition and the
// change are one statement, so that concurrent transactions share one limit.
func take(ctx context.Context, tx store.Tx, day int64, c Charge) (bool, error) {
	const add = `INSERT INTO quota_days (tenant, name, subject, day, used) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (tenant, name, subject, day) DO UPDATE SET used = quota_days.used + excluded.used`
	args := []any{string(tx.Tenant()), c.Name, c.Subject, day, c.Amount}
	if c.Limit < 0 {
		_, err := tx.Exec(ctx, add, args...)
		return err == nil, err
	}
	if c.Amount > c.Limit {
		return false, nil
	}
	result, err := tx.Exec(ctx, add+` WHERE quota_days.used + excluded.used <= ?`, append(args, c.Limit)...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

func giveBack(ctx context.Context, tx store.Tx, day int64, c Charge) error {
	if c.Amount <= 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `UPDATE quota_days SET used = used - ? WHERE tenant = ? AND name = ? AND subject = ? AND day = ?`,
		c.Amount, string(tx.Tenant()), c.Name, c.Subject, day)
	return err
}

// Used returns what the tenant of tx has used of a counter on the day of now.
func Used(ctx context.Context, tx store.Tx, now time.Time, name, subject string) (int64, error) {
	var used int64
	err := tx.QueryRow(ctx, `SELECT used FROM quota_days WHERE tenant = ? AND name = ? AND subject = ? AND day = ?`,
		string(tx.Tenant()), name, subject, dayOf(now)).Scan(&used)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("quota: read %s: %w", name, err)
	}
	return used, nil
}

// Resets returns when the counters of now begin at 0 again: at the next midnight
// in UTC.
func Resets(now time.Time) time.Time {
	return time.Unix((dayOf(now)+1)*secondsPerDay, 0).UTC()
}

const secondsPerDay = 24 * 60 * 60

// dayOf numbers the UTC days from 1970-01-01.
func dayOf(now time.Time) int64 { return now.Unix() / secondsPerDay }

// trimBatch is the most counters that one step removes.
const trimBatch = 500

// Trimmer returns a step for package retention: each call removes some counters
// of days before yesterday and reports whether there may be more. A service takes
// it when it is made. Now is the clock.
func Trimmer(db store.Relational, now func() time.Time) func(context.Context) (more bool, err error) {
	cross := db.Crossings().Grant("quota.trim", "removes the counters of all tenants that are older than yesterday")
	return func(ctx context.Context) (bool, error) { return trim(ctx, db, cross, now()) }
}

func trim(ctx context.Context, db store.Relational, cross store.Crossing, now time.Time) (more bool, err error) {
	var removed int64
	err = db.AcrossTenants(ctx, cross, func(ctx context.Context, tx store.CrossTx) error {
		result, err := tx.Exec(ctx, `DELETE FROM quota_days WHERE (tenant, name, subject, day) IN (
			SELECT tenant, name, subject, day FROM quota_days WHERE day < ? ORDER BY day LIMIT ?)`, dayOf(now)-1, trimBatch)
		if err != nil {
			return err
		}
		removed, err = result.RowsAffected()
		return err
	}, store.Reserved)
	if err != nil {
		return false, fmt.Errorf("quota: trim: %w", err)
	}
	return removed == trimBatch, nil
}
