package user

import (
	"context"
	"net/http"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
)

type importInput struct {
	Body struct {
		Users []importLine `json:"users" nullable:"false" minItems:"1" maxItems:"1000"`
	}
}

type importedWire struct {
	ID      string `json:"id" example:"usr_06d1…"`
	Created bool   `json:"created" doc:"False for an account that was there, which stays as it is"`
}

type importWire struct {
	Data []importedWire `json:"data" nullable:"false" doc:"One for each of users, in their order"`
}

// maxImportBody holds 1,000 people with long names and hashes.
const maxImportBody = 2 << 20

func (s *Service) routeImport(api *rest.API) {
	op := postAgain("operator.users.import", "/v1/operator/users/import", "Import people from another system, with the hashes of their passwords", platform.Operator(), http.StatusOK)
	op.MaxBody = maxImportBody
	op.Description = "All are imported or none is. Accounts that are there already, by external_id or email, stay as they are: the call can be repeated."
	rest.Handle(api, op, asPerson(func(ctx context.Context, p platform.Principal, in *importInput) (*output[importWire], error) {
		made, err := s.ImportUsers(ctx, p, mapped(in.Body.Users, importLine.user))
		return found(made, err, func(all []ImportedUser) importWire {
			return importWire{mapped(all, func(u ImportedUser) importedWire { return importedWire(u) })}
		})
	}))
}
