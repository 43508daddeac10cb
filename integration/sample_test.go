package integration

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// movies returns a JSON array of records of mixed types and their number.
func movies(t *testing.T, set setup) ([]byte, int) {
	t.Helper()
	n := set.atMost(3201, 300)
	if raw, ok := realData(t, "movies.json"); ok {
		var all []json.RawMessage
		if err := json.Unmarshal(raw, &all); err != nil {
			t.Fatal(err)
		}
		some, err := json.Marshal(all[:n])
		if err != nil {
			t.Fatal(err)
		}
		return some, n
	}
	r := rand.New(rand.NewPCG(1, 2))
	maybe := func(v any) any {
		if r.IntN(4) == 0 {
			return nil
		}
		return v
	}
	all := make([]map[string]any, n)
	for i := range all {
		var title any = fmt.Sprintf("Film \"%d\" ünïcode <&> %c", i, 'a'+rune(r.IntN(26)))
		if i%97 == 0 {
			title = 1000 + i // some titles are numbers, as in the real data
		}
		all[i] = map[string]any{
			"Title": title, "US Gross": maybe(r.Int64N(400_000_000)), "IMDB Rating": maybe(float64(r.IntN(100)) / 10),
			"Major Genre": maybe([]string{"Drama", "Comedy", "Action", "Horror"}[r.IntN(4)]), "IMDB Votes": maybe(r.IntN(500_000)),
			"Release Date": time.Date(1960+r.IntN(50), 1, 1+r.IntN(365), 0, 0, 0, 0, time.UTC).Format("Jan 02 2006"),
		}
	}
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return raw, n
}

// strike is one row of the bird strikes.
type strike struct{ date, phase, airline string }

// strikes returns rows of events with dates of their own.
func strikes(t *testing.T) []strike {
	t.Helper()
	if raw, ok := realData(t, "birdstrikes.csv"); ok {
		rows, err := csv.NewReader(bytes.NewReader(raw)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		column := map[string]int{}
		for i, name := range rows[0] {
			column[name] = i
		}
		var all []strike
		for _, row := range rows[1:] {
			all = append(all, strike{row[column["Flight Date"]], row[column["Phase of flight"]], row[column["Aircraft Airline Operator"]]})
		}
		return all
	}
	r := rand.New(rand.NewPCG(3, 4))
	all := make([]strike, 10_000)
	for i := range all {
		all[i] = strike{
			date:    time.Date(1990, 1, 1+r.IntN(4000), 0, 0, 0, 0, time.UTC).Format(time.DateOnly),
			phase:   []string{"Approach", "Climb", "Landing Roll", "Take-off run", "Descent", "Taxi", "Parked", ""}[r.IntN(8)],
			airline: fmt.Sprintf("AIRLINE %d", r.IntN(200)),
		}
	}
	return all
}

func realData(t *testing.T, name string) ([]byte, bool) {
	t.Helper()
	dir := os.Getenv("PLATFORM_TEST_DATA")
	if dir == "" {
		return nil, false
	}
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return raw, true
}
