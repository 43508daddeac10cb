package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store/sqlite"
	"github.com/acme/platform/user"
)

// errOperatorUsage is of a command line that makes no operator's key.
var errOperatorUsage = errors.New(`operator: write "standalone operator key NAME [flags]", with the flags that name the database`)

// operatorCommand reads "operator key NAME" and returns the command and the flags
// that are left.
func operatorCommand(args []string) (do command, flags []string, err error) {
	if len(args) < 2 || args[0] != "key" || args[1] == "" || args[1][0] == '-' {
		return nil, nil, errOperatorUsage
	}
	name := args[1]
	return func(ctx context.Context, o options, stdout, _ io.Writer) error {
		return operatorKey(ctx, o, name, stdout)
	}, args[2:], nil
}

// operatorKey makes a key of who runs the installation, and prints it: the only
// time that it is seen. Whoever can run this command on the database could read
// and write everything in it anyway, so it asks for no other credential.
func operatorKey(ctx context.Context, o options, name string, stdout io.Writer) error {
	return withAccounts(ctx, o, func(ctx context.Context, users *user.Service) error {
		key, secret, err := users.CreateOperatorKey(ctx, name)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(stdout, "%s\n\nThis is the key %s (%s). It is shown once: keep it where you keep passwords.\nSend it as \"Authorization: Bearer KEY\" to the routes under /v1/operator.\n",
			string(secret), key.ID, key.Name)
		return err
	})
}

// withAccounts runs a command on the accounts of the database, without a server.
func withAccounts(ctx context.Context, o options, do func(context.Context, *user.Service) error) (err error) {
	// Accounts are rows of the relational store; no other store is asked.
	o.stores.redis, o.stores.kafka, o.stores.mongo = "", "", ""
	p, err := assemble(o, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	db, isModule := p.DB.(platform.Module)
	sealer, alsoModule := p.Sealer.(platform.Module)
	if !isModule || !alsoModule {
		return fmt.Errorf("the store %T or the sealer %T cannot be started", p.DB, p.Sealer)
	}
	// The jobs are not run here.
	accounts, err := platform.New(platform.Config{Elsewhere: []platform.Module{p.Jobs}}, db, sealer, p.Users)
	if err != nil {
		return err
	}
	if err := accounts.Start(ctx); err != nil {
		if errors.Is(err, sqlite.ErrOpen) {
			return fmt.Errorf("a running server holds the database in %s: stop it, run this command, and start it again: %w", o.data, err)
		}
		return err
	}
	defer func() {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, accounts.Stop(stopCtx))
	}()
	return do(ctx, p.Users)
}
