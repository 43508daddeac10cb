package document_test

import (
	"encoding/json"
	"fmt"

	"github.com/acme/platform/store/document"
)

// Filters, selections and patches work on any JSON object, without a store.
func Example() {
	film := json.RawMessage(`{"title":"M","year":1931,"cast":[{"name":"Lorre"},{"name":"Widmann"}]}`)

	filter, err := document.ParseFilter([]byte(`{"year": {"$lt": 1940}, "cast.name": "Lorre"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(filter.Match(film, "rec_1"))
	fmt.Println(string(document.Select(film, []string{"title", "cast.name"})))
	fmt.Println(string(document.MergePatch(film, json.RawMessage(`{"year":null,"cast":[]}`))))
	fmt.Println(document.Compare(json.RawMessage(`1.0`), json.RawMessage(`1e0`)))
	// Output:
	// true
	// {"title":"M","cast":[{"name":"Lorre"},{"name":"Widmann"}]}
	// {"title":"M","cast":[]}
	// 0
}
