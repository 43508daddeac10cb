// Command microservices is the platform as processes of their own: the gateway
// and each service, as often as wanted, over PostgreSQL, Redis, Kafka and
// MongoDB.
//
//	microservices keys        print a new pair of keys for the assertions
//	microservices user        accounts and access
//	microservices data        documents
//	microservices analytics   events and questions about them
//	microservices notify      messages
//	microservices gateway     the edge before them
//
// It is the same library as in examples/standalone; what differs is which part
// runs where. The README beside it says what to read first.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // time zones also where the system has none
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, env func(string) (string, bool), stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	switch args[0] {
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
		return 0
	case "keys":
		if err := printKeys(ctx, stdout); err != nil {
			fmt.Fprintln(stderr, "microservices:", err)
			return 1
		}
		return 0
	}
	o, err := parse(args[0], args[1:], env, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "microservices:", err)
		return 2
	}
	if err := serve(ctx, o, stderr); err != nil {
		fmt.Fprintln(stderr, "microservices:", err)
		return 1
	}
	return 0
}
