package user_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/acme/platform/store/memory"
	"github.com/acme/platform/store/seal"
	"github.com/acme/platform/store/sqlite"
	"github.com/acme/platform/user"
)

// A host signs a user up, and later finds out who calls and what they may do.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "user")
	check(err)
	defer os.RemoveAll(dir)

	db, err := sqlite.New(filepath.Join(dir, "acme.db"))
	check(err)
	check(db.Start(ctx))
	defer db.Close()
	sealer, err := seal.New(seal.Config{Keys: seal.File(filepath.Join(dir, "acme.keys"))})
	check(err)
	users, err := user.New(user.Config{DB: db, Sealer: sealer, Issuer: "https://api.example.com", Cache: memory.NewCache(1 << 20)})
	check(err)
	check(users.Start(ctx))
	defer users.Stop(ctx)

	ann, err := users.SignUp(ctx, user.SignUp{
		Email: "ann@example.com", Password: "violet tractor umbrella", Name: "Ann", Organization: "Acme",
	})
	check(err)
	fmt.Println(ann.Tokens.Access)

	caller, err := users.Verify(ctx, string(ann.Tokens.Access))
	check(err)
	fmt.Println(caller.Roles, caller.Tenant == ann.Organization.ID)
	fmt.Println(users.Authorize(ctx, caller, "data.records.write"))

	// Output:
	// [redacted]
	// [owner] true
	// <nil>
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
