package testdb

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// compareFor is how long each side of a round runs.
const compareFor = 200 * time.Millisecond

// Compare reports what with costs more than without, in rounds of both in turn:
// the medians' difference in percent, the quartiles of the rounds', and how many a
// second there are of each. So many writers call them at once. One iteration of
// the benchmark is a round; thirty of them say more than one.
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
	n := len(costs)
	b.ReportMetric((plain[n/2]/more[n/2]-1)*100, "%")
	b.ReportMetric(costs[n/4], "%q1")
	b.ReportMetric(costs[n*3/4], "%q3")
	b.ReportMetric(plain[n/2], "without/s")
	b.ReportMetric(more[n/2], "with/s")
}
