package standard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/acme/platform/data"
	"github.com/acme/platform/gateway"
	"github.com/acme/platform/standard"
	"github.com/acme/platform/user"
)

func Example() {
	if err := example(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 200 for GET /api/livez
	// films: M
}

func example(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "acme")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)

	mux := http.NewServeMux() // the router that the host has
	api, err := standard.Open(ctx, standard.Config{
		Data:    folder,
		Gateway: gateway.Config{BasePath: "/api"},
	})
	if err != nil {
		return err
	}
	defer api.Close(ctx)
	mux.Handle("/api/", http.StripPrefix("/api", api))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/livez", nil))
	fmt.Println(w.Code, "for GET /api/livez")
	return fromGo(ctx, api)
}

// fromGo calls parts of the platform without HTTP.
func fromGo(ctx context.Context, api *standard.Platform) error {
	ann, err := api.Users.SignUp(ctx, user.SignUp{
		Email: "ann@example.com", Password: "violet tractor umbrella", Name: "Ann", Organization: "Ann & Co",
	})
	if err != nil {
		return err
	}
	p, err := api.Users.Verify(ctx, string(ann.Tokens.Access))
	if err != nil {
		return err
	}
	if _, err := api.Records.CreateCollection(ctx, p, data.Collection{Name: "films"}); err != nil {
		return err
	}
	film, err := api.Records.CreateRecord(ctx, p, "films", "", json.RawMessage(`{"title": "M"}`))
	if err != nil {
		return err
	}
	var content struct{ Title string }
	if err := json.Unmarshal(film.Data, &content); err != nil {
		return err
	}
	fmt.Println("films:", content.Title)
	return nil
}
