package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/acme/platform/store/seal"
)

// The gateway signs who calls with the private key; the services know the
// public one, which proves and cannot sign. Both are written as 32 bytes in
// base64. The keys of stored secrets are known to those that have accounts or
// messages.

// printKeys prints new keys as lines for a file of the environment.
func printKeys(ctx context.Context, w io.Writer) error {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	place := seal.Memory("")
	sealer, err := seal.New(seal.Config{Keys: place})
	if err != nil {
		return err
	}
	if err := sealer.Start(ctx); err != nil {
		return err
	}
	sealing, err := seal.Text(ctx, place)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "PLATFORM_ASSERTION_KEY=%s\nPLATFORM_ASSERTION_PUBLIC_KEY=%s\nPLATFORM_SEALING_KEYS=%s\n",
		base64.StdEncoding.EncodeToString(private.Seed()), base64.StdEncoding.EncodeToString(public), sealing)
	return err
}

var errKey = errors.New("must be a key of 32 bytes in base64, as the command keys prints it")

func decodeKey(s string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(s)
	if err != nil || len(key) != ed25519.SeedSize {
		return nil, errKey // what was given stays out of it
	}
	return key, nil
}
