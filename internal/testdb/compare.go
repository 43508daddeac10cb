package testdb

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// compareFor is how long each side of a round runs.
const compareFor = 500 * time.Millisecond

// Compare reports what with costs more than without, in rounds of both in turn:
// the median and the extremes in percent, and how many a second there are of
// each. So many writers call them at once. One iteration of the benchmark is a
// round; ten of them say more than one.
func Compare(b *testing.B, writers int, without, with func() error) {
	b.Helper()
	rate := func(f func() error) float64 {
		var (
			all   sync.WaitGroup
			mu    sync.Mutex
			total int
		)
		began := time.Now()
		for range writers {
			all.Go(func() {
				n := 0
				for time.Since(began) < compareFor {
					if err := f(); err != nil {
						b.Error(err)
						return
					}
					n++
				}
				mu.Lock()
				defer mu.Unlock()
				total += n
			})
		}
		all.Wait()
		return float64(total) / time.Since(began).Seconds()
	}
	rate(without) // what is prepared once is prepared
	rate(with)
	var costs, plain, more []float64
	for n := 0; b.Loop(); n++ {
		first, second := without, with
		if n%2 == 1 { // neither always comes second
			first, second = with, without
		}
		r1, r2 := rate(first), rate(second)
		if n%2 == 1 {
			r1, r2 = r2, r1
		}
		plain, more = append(plain, r1), append(more, r2)
		costs = append(costs, (r1/r2-1)*100)
	}
	slices.Sort(costs)
	slices.Sort(plain)
	slices.Sort(more)
	middle := len(costs) / 2
	b.ReportMetric(costs[middle], "%")
	b.ReportMetric(costs[0], "%min")
	b.ReportMetric(costs[len(costs)-1], "%max")
	b.ReportMetric(plain[middle], "without/s")
	b.ReportMetric(more[middle], "with/s")
}
