package standard_test

import (
	"context"
	"os"

	"github.com/acme/platform/standard"
	"github.com/acme/platform/store/postgres"
	"github.com/acme/platform/store/seal"
	"github.com/acme/platform/user"
)

// Accounts of a product on the internet: see docs/accounts.md.
func ExampleOpen_accounts() { //nolint:testableexamples // it needs a database
	ctx, url := context.Background(), os.Getenv("DATABASE_URL")
	if url == "" {
		return // there is no database here
	}
	api, err := standard.Open(ctx, standard.Config{
		PublicURL:  "https://app.example.com/api",
		Relational: postgres.Open(url),
		Sealer:     seal.Open(seal.File("/etc/acme/platform.keys")),
		Users: user.Config{
			SignUp:           user.SignUpConfirmed,
			SigningAlgorithm: "ES256",
			Breaches:         &user.Breaches{Range: user.PwnedPasswords{}.Range, Unavailable: user.AcceptUnchecked},
			Links:            user.Links{Origin: "https://app.example.com"},
		},
	})
	if err != nil {
		return
	}
	defer api.Close(ctx)
}
