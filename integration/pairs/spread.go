package main

import (
	"fmt"
	"math"
	"slices"
)

// spread is the median of ratios, and the 95 % interval of their geometric mean.
func spread(ratios []float64) string {
	var sum, squares float64
	for _, r := range ratios {
		sum += math.Log(r)
	}
	n := float64(len(ratios))
	mean := sum / n
	for _, r := range ratios {
		squares += (math.Log(r) - mean) * (math.Log(r) - mean)
	}
	// 2.09 is Student's t for 19 degrees of freedom; more pairs need less.
	half := 2.09 * math.Sqrt(squares/(n-1)/n)
	return fmt.Sprintf("%.2f (%.2f to %.2f)", median(ratios), math.Exp(mean-half), math.Exp(mean+half))
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
