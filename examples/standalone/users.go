package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/acme/platform"
	"github.com/acme/platform/user"
)

// errUsersUsage is of a command line that imports nobody.
var errUsersUsage = errors.New(`users: write "standalone users import FILE [flags]", with the flags that name the database; "-" is standard input`)

// usersCommand reads "users import FILE" and returns the command and the flags that
// are left.
func usersCommand(args []string) (do command, flags []string, err error) {
	if len(args) < 2 || args[0] != "import" || args[1] == "" || args[1][0] == '-' && args[1] != "-" {
		return nil, nil, errUsersUsage
	}
	return func(ctx context.Context, o options, stdout, _ io.Writer) error {
		return importUsers(ctx, o, args[1], stdout)
	}, args[2:], nil
}

// importUsers brings people from a file of lines of JSON: see
// [user.Service.ImportLines]. Whoever can run this command on the database could
// write everything in it anyway, so it asks for no credential.
func importUsers(ctx context.Context, o options, file string, stdout io.Writer) error {
	var lines io.Reader = os.Stdin
	if file != "-" {
		f, err := os.Open(file) //nolint:gosec // whoever runs the command names the file
		if err != nil {
			return err
		}
		defer f.Close()
		lines = f
	}
	return withAccounts(ctx, o, func(ctx context.Context, users *user.Service) error {
		count, err := users.ImportLines(ctx, platform.System(platform.NoTenant, "users import"), lines)
		_, printed := fmt.Fprintf(stdout, "%d people were imported, %d were known already and are as they were.\n", count.Created, count.Known)
		return errors.Join(err, printed)
	})
}
