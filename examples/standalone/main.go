// Command standalone is the platform as a server of its own: accounts,
// documents, analytics and notifications behind the gateway. It needs nothing
// installed: all data is in one SQLite file. PostgreSQL, MongoDB, Redis and Kafka
// take the place of parts of it, each by a flag of its own.
//
//	standalone [serve] [--addr 127.0.0.1:8080] [--data acme-data]
//	standalone openapi        print the OpenAPI document
//	standalone healthcheck    exit 0 if a running server is ready
//	standalone operator key NAME   make a key of who runs the installation, and print it
//	standalone sealing COMMAND     make, list, rotate or retire the keys of stored secrets
//	standalone users import FILE   bring people with the hashes of their passwords; "-" is standard input
//	standalone version
//
// Every flag can also be set in the environment, or in a file that --config
// names: --log-format is PLATFORM_LOG_FORMAT. A flag goes before the environment,
// the environment before the file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	_ "time/tzdata" // time zones also where the system has none
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// command is one of the program's commands.
type command func(ctx context.Context, o options, stdout, stderr io.Writer) error

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, env func(string) (string, bool), stdout, stderr io.Writer) int {
	name := "serve"
	if len(args) > 0 && len(args[0]) > 0 && args[0][0] != '-' {
		name, args = args[0], args[1:]
	}
	if name == "help" {
		name, args = "serve", []string{"--help"}
	}
	commands := map[string]command{
		"serve":       serve,
		"openapi":     printOpenAPI,
		"healthcheck": healthcheck,
		"version":     printVersion,
	}
	do, ok := commands[name]
	if read, has := map[string]func([]string) (command, []string, error){"operator": operatorCommand, "sealing": sealingCommand, "users": usersCommand}[name]; has {
		var err error
		if do, args, err = read(args); err != nil {
			fmt.Fprintln(stderr, "standalone:", err)
			return 2
		}
		ok = true
	}
	if !ok {
		fmt.Fprintf(stderr, "standalone: there is no command %q; there are serve, openapi, healthcheck, operator key, users import, sealing and version\n", name)
		return 2
	}
	opts, err := parse(args, env, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(stderr, "standalone:", err)
		return 2
	}
	if err := do(ctx, opts, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "standalone:", err)
		return 1
	}
	return 0
}

func printVersion(_ context.Context, _ options, stdout, _ io.Writer) error {
	_, err := fmt.Fprintln(stdout, version())
	return err
}

// version is that of the module the program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && info.Main.Version == "(devel)" {
			return "devel-" + s.Value
		}
	}
	return info.Main.Version
}
