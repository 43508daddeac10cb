// Command pairs compares two builds of the standalone server: it loads them in
// turn, pair by pair, and prints for each operation the ratio of the second to
// the first, of the server's CPU time and of the wall time for each request, with
// the 95 % interval of its mean. It runs on Linux.
//
//	go run ./integration/pairs -base /tmp/old -head /tmp/new [-postgres postgres://…]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

func main() {
	var o options
	flag.StringVar(&o.base, "base", "", "the program to compare with")
	flag.StringVar(&o.head, "head", "", "the program that is compared")
	flag.StringVar(&o.postgres, "postgres", "", "a server's URL without a database; each build gets databases of its own, \"pairs_base\" and \"pairs_head\", which must be there and empty. Without it both use files")
	flag.IntVar(&o.pairs, "pairs", 20, "how many pairs of each operation")
	flag.IntVar(&o.clients, "clients", 16, "concurrent connections")
	flag.StringVar(&o.only, "only", "", "the one operation to measure; empty is all")
	flag.IntVar(&o.scale, "scale", 1, "multiplies the requests of each run")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	err := compare(ctx, o)
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pairs:", err)
		os.Exit(1)
	}
}

type options struct {
	base, head, postgres  string
	only                  string
	pairs, clients, scale int
}

// sample is what one run cost for each request, in microseconds.
type sample struct{ cpu, wall float64 }

func compare(ctx context.Context, o options) error {
	if o.base == "" || o.head == "" {
		return errors.New("-base and -head name the two programs")
	}
	var servers [2]*server
	for i, program := range []string{o.base, o.head} {
		s, err := startServer(ctx, program, o.database(i))
		if err != nil {
			return err
		}
		defer s.stop()
		if err := s.prepare(ctx); err != nil {
			return err
		}
		servers[i] = s
	}
	fmt.Printf("%d pairs, %d clients; ratios are head to base: median, and 95 %% interval of the mean\n", o.pairs, o.clients)
	fmt.Printf("%-8s %24s %24s %14s\n", "", "CPU", "wall", "CPU µs, base")
	for _, op := range operations {
		if o.only != "" && o.only != op.name {
			continue
		}
		var cpu, wall, base []float64
		for pair := range o.pairs + 1 {
			var runs [2]sample
			for turn := range servers {
				which := (pair + turn) % 2 // who comes first changes
				var err error
				if runs[which], err = servers[which].run(ctx, op, o.clients, op.requests*o.scale); err != nil {
					return fmt.Errorf("%s: %w", op.name, err)
				}
			}
			if pair == 0 { // the first warms up
				continue
			}
			cpu = append(cpu, runs[1].cpu/runs[0].cpu)
			wall = append(wall, runs[1].wall/runs[0].wall)
			base = append(base, runs[0].cpu)
		}
		fmt.Printf("%-8s %24s %24s %14.0f\n", op.name, spread(cpu), spread(wall), median(base))
	}
	return nil
}

// database is where the i-th program keeps its data, "" for a folder of its own.
func (o options) database(i int) string {
	if o.postgres == "" {
		return ""
	}
	return o.postgres + "/" + [...]string{"pairs_base", "pairs_head"}[i] + "?sslmode=disable"
}
