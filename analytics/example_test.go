package analytics_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/analytics"
	"github.com/acme/platform/store/sqlite"
)

// The service works without HTTP: events in, counts out.
func Example() {
	if err := example(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 2 accepted, 1 duplicates
	// 2025-03-29 2
	// 2025-03-30 0
	// DE 1
	// FR 1
}

func example(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "analytics")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := sqlite.New(filepath.Join(dir, "acme.db"))
	if err != nil {
		return err
	}
	events, err := analytics.New(analytics.Config{DB: db})
	if err != nil {
		return err
	}
	p, err := platform.New(platform.Config{}, db, events)
	if err != nil {
		return err
	}
	if err := p.Start(ctx); err != nil {
		return err
	}
	defer func() { _ = p.Stop(ctx) }()

	const tenant platform.TenantID = "org_1"
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		return err
	}
	noon := time.Date(2025, 3, 29, 12, 0, 0, 0, berlin)
	first := analytics.Event{ID: "evt_1", Name: "order.paid", User: "anna", Time: noon, Properties: []byte(`{"country":"DE"}`)}
	second := analytics.Event{ID: "evt_2", Name: "order.paid", User: "ben", Time: noon, Properties: []byte(`{"country":"FR"}`)}
	result, err := events.Ingest(ctx, platform.System(tenant, "test"), []analytics.Event{first, second, first})
	if err != nil {
		return err
	}
	fmt.Printf("%d accepted, %d duplicates\n", result.Accepted, result.Duplicates)

	selection := analytics.Selection{
		Event: "order.paid",
		From:  time.Date(2025, 3, 29, 0, 0, 0, 0, berlin),
		To:    time.Date(2025, 3, 31, 0, 0, 0, 0, berlin),
	}
	series, err := events.Series(ctx, platform.System(tenant, "test"), analytics.SeriesQuery{Selection: selection, Interval: analytics.Day, Location: berlin})
	if err != nil {
		return err
	}
	for _, p := range series[0].Points {
		fmt.Println(p.Time.Format(time.DateOnly), p.N)
	}
	countries, err := events.Breakdown(ctx, platform.System(tenant, "test"), analytics.BreakdownQuery{Selection: selection, Property: "country"})
	if err != nil {
		return err
	}
	for _, row := range countries.Rows {
		fmt.Println(row.Key, row.Count)
	}
	return nil
}
