// Package integration tests the whole: the program examples/standalone as a
// process of its own, reached over HTTP alone, with faults.
//
// PLATFORM_TEST_DATA may name a folder with movies.json and birdstrikes.csv of
// vega-datasets; without it the tests make data of the same shape.
package integration
