package rest

import (
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/acme/platform"
	"github.com/acme/platform/internal/query"
)

// admission is what every request of one operation must keep, as the document
// says it: its parameters in the query, the media types of its body, and whether
// there must be one. It stands before the handler, so that an operation cannot
// take what its description does not have.
type admission struct {
	api      *API
	params   []query.Param
	open     bool     // unknown parameters are ignored
	media    []string // of the body, sorted; nil takes none, and leaves it alone
	required bool
	maxBody  int64 // of the body without its coding; negative is no limit
}

// defaultMaxBody holds where an operation says nothing.
const defaultMaxBody = 1 << 20

func (a *API) admission(op Operation, described *huma.Operation) *admission {
	ad := &admission{api: a, open: op.OpenQuery, maxBody: op.MaxBody}
	if ad.maxBody == 0 {
		ad.maxBody = defaultMaxBody
	}
	for _, p := range described.Parameters {
		if p.In == "query" {
			ad.params = append(ad.params, query.Param{
				Name: p.Name, Repeats: p.Schema.Type == huma.TypeArray,
				Filled: p.Schema.Type != huma.TypeArray && p.Schema.Type != huma.TypeString || p.Schema.Enum != nil,
			})
		}
	}
	if body := described.RequestBody; body != nil {
		ad.required = body.Required
		for media := range body.Content {
			ad.media = append(ad.media, media)
		}
		slices.Sort(ad.media)
	}
	return ad
}

// admit checks a request. The one that it returns has the body without a coding;
// release must be called once that has been read.
func (ad *admission) admit(w http.ResponseWriter, r *http.Request) (_ *http.Request, release func(), err error) {
	if r.URL.RawQuery != "" && !ad.open {
		if err := query.Check(r.URL.RawQuery, ad.params); err != nil {
			return nil, nil, err
		}
	}
	if ad.media == nil {
		return r, nil, nil
	}
	if r.ContentLength == 0 {
		if ad.required {
			return nil, nil, platform.Errorf(platform.KindMalformed, "body_required", "this operation needs a body; send %s", ad.list())
		}
		return r, nil, nil
	}
	media, err := ad.checkMedia(r)
	if err != nil {
		ad.tellMedia(w, r.Method)
		return nil, nil, err
	}
	if media != r.Header.Get("Content-Type") { // with parameters, or in another case
		r = withHeader(r)
		r.Header.Set("Content-Type", media)
	}
	codings := r.Header["Content-Encoding"]
	if codings == nil {
		return r, nil, nil
	}
	return ad.decoded(w, r, codings)
}

// withHeader is the request with a header that may be changed.
func withHeader(r *http.Request) *http.Request {
	plain := *r
	plain.Header = r.Header.Clone()
	return &plain
}

// checkMedia returns the media type of the body as it is documented. It refuses a
// body whose type is not said, or not one of those, or whose text is not in UTF-8.
func (ad *admission) checkMedia(r *http.Request) (string, error) {
	values := r.Header["Content-Type"]
	if len(values) == 1 && slices.Contains(ad.media, values[0]) {
		return values[0], nil
	}
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return "", platform.Errorf(platform.KindUnsupported, "content_type_missing", "the header Content-Type is missing; send %s", ad.list())
	}
	media, params, err := mime.ParseMediaType(values[0])
	if len(values) > 1 || err != nil || !slices.Contains(ad.media, media) {
		return "", platform.Errorf(platform.KindUnsupported, "", "this operation does not take that media type; send %s", ad.list())
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return "", platform.Errorf(platform.KindUnsupported, "", "this operation takes text in UTF-8 only")
	}
	return media, nil
}

// tellMedia says which types are taken (RFC 9110, section 15.5.16; Accept-Post
// is of Linked Data Platform, Accept-Patch of RFC 5789).
func (ad *admission) tellMedia(w http.ResponseWriter, method string) {
	list := strings.Join(ad.media, ", ")
	w.Header().Set("Accept", list)
	switch method {
	case http.MethodPost:
		w.Header().Set("Accept-Post", list)
	case http.MethodPatch:
		w.Header().Set("Accept-Patch", list)
	}
}

func (ad *admission) list() string { return strings.Join(ad.media, " or ") }
