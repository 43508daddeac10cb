package rest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/rest"
	"github.com/acme/platform/internal/test/routes"
)

type Common struct {
	Note string `json:"note,omitempty"`
}

type strictInput struct {
	Body struct {
		Common
		Name  string `json:"name" maxLength:"5"`
		Items []*struct {
			ID int `json:"id"`
		} `json:"items,omitempty"`
		Named map[string]struct {
			ID int `json:"id"`
		} `json:"named,omitempty"`
		Free  map[string]any  `json:"free,omitempty"`
		Raw   json.RawMessage `json:"raw,omitempty"`
		At    *time.Time      `json:"at,omitempty"`
		Plain bool            `json:",omitempty"`

		Cleared *string `json:"cleared,omitempty" nullable:"true"`
	}
}

// What is checked is what is served: members have their exact names, once.
func TestExactNames(t *testing.T) {
	a := rest.New("user", nil)
	rest.Handle(a, rest.Operation{ID: "a", Method: http.MethodPost, Retry: platform.RetryFreely, Path: "/a", Access: platform.Public(), Status: 204},
		func(_ context.Context, in *strictInput) (*struct{}, error) {
			if len(in.Body.Name) > 5 {
				t.Errorf("a name that was not checked: %s", in.Body.Name)
			}
			return &struct{}{}, nil
		})
	mux := routes.Mux(a.Routes())
	for body, status := range map[string]int{
		`{"name":"a","note":"n","items":[{"id":1},{"id":2}],"named":{"x":{"id":1},"X":{"id":2}},"at":"2026-01-02T03:04:05Z","Plain":true}`: 204,
		`{"name":"a","free":{"x":{"y":1,"Y":2}},"raw":{"z":1,"Z":2}}`:                                                                      204, // free names differ by case
		`{"name":"a","raw":{"z":1,"z":2}}`:           204, // whoever reads that decides
		`{"name":"a","raw":null,"cleared":null}`:     204, // their schemas have null
		`{"name":"a","items":null}`:                  422,
		`{"name":"a","note":null}`:                   422,
		`{"name":"a","at":null}`:                     422,
		`{"name":"a","named":{"x":null}}`:            422,
		`{"NAME":"a"}`:                               422,
		`{"name":"a","NAME":"longer than five"}`:     422,
		`{"name":"a","name":"b"}`:                    422,
		`{"name":"a","na\u006de":"b"}`:               422,
		`{"name":"a","NOTE":"n"}`:                    422,
		`{"name":"a","items":[{"id":1},{"ID":2}]}`:   422,
		`{"name":"a","items":[{"id":1,"id":2}]}`:     422,
		`{"name":"a","named":{"x":{"Id":1}}}`:        422,
		`{"name":"a","named":{"x":{"id":1},"x":{}}}`: 422,
		`{"name":"a","free":{"x":[{"y":1,"y":2}]}}`:  422,
		`{"name":"a","plain":true}`:                  422,
	} {
		if w := do(mux, "POST", "/a", body); w.Code != status {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}
