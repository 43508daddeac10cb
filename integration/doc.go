// Package integration tests the whole: the program examples/standalone as a
// process of its own, reached over HTTP alone, with faults. What every choice of
// stores promises is tested on four set-ups: the embedded stores, PostgreSQL,
// PostgreSQL and Redis, and all four servers. Without a container engine those
// on servers are skipped, and counted.
//
//	go test ./integration -run '/^postgres$'                    one set-up
//	go test ./integration -run '^TestKill$/^all$' -kills 100    more kills
//
// PLATFORM_TEST_DATA may name a folder with movies.json and birdstrikes.csv of
// vega-datasets; without it the tests make data of the same shape.
package integration
