package gateway

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"strconv"

	"github.com/acme/platform"
)

// docs holds the page that shows the OpenAPI document. It needs nothing from
// elsewhere.
//
//go:embed docs/index.html docs/app.js docs/style.css docs/icon.svg
var docs embed.FS

//go:embed openapi.json
var systemOpenAPI []byte

const (
	opLive    = "health.live"
	opReady   = "health.ready"
	opOpenAPI = "openapi"
	opDocs    = "docs"
	opAsset   = "docs.asset"
)

// systemRoutes are the gateway's own operations, yet without handlers.
func systemRoutes() []platform.Route {
	route := func(operation, path string) platform.Route {
		return platform.Route{Operation: operation, Method: http.MethodGet, Path: path, Access: platform.Public()}
	}
	return []platform.Route{
		route(opLive, "/livez"), route(opReady, "/readyz"),
		route(opOpenAPI, "/openapi.json"), route(opDocs, "/docs"), route(opAsset, "/docs/{file}"),
	}
}

// isProbe reports whether the system route is asked by machines that watch.
func isProbe(r platform.Route) bool { return r.Operation == opLive || r.Operation == opReady }

// system gives the gateway's own routes their handlers.
func (g *Gateway) system(s *source, document []byte) {
	handlers := map[string]http.Handler{
		opLive:    http.HandlerFunc(live),
		opReady:   &readiness{gateway: g},
		opOpenAPI: newFile("application/json", document),
		opDocs:    docsFile("index.html", "text/html; charset=utf-8"),
		opAsset: assets{
			"app.js":    docsFile("app.js", "text/javascript; charset=utf-8"),
			"style.css": docsFile("style.css", "text/css; charset=utf-8"),
			"icon.svg":  docsFile("icon.svg", "image/svg+xml"),
		},
	}
	for i := range s.routes {
		s.routes[i].Handler = handlers[s.routes[i].Operation]
	}
}

// file is bytes in memory with an entity tag.
type file struct {
	mediaType, etag, policy string
	body                    []byte
}

func newFile(mediaType string, body []byte) *file {
	sum := sha256.Sum256(body)
	return &file{mediaType: mediaType, etag: `"` + hex.EncodeToString(sum[:12]) + `"`, body: body}
}

func docsFile(name, mediaType string) *file {
	body, err := docs.ReadFile("docs/" + name)
	if err != nil { // it is in the binary
		panic(err)
	}
	f := newFile(mediaType, body)
	f.policy = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return f
}

func (f *file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "public, no-cache")
	h.Set("Etag", f.etag)
	if f.policy != "" {
		h.Set("Content-Security-Policy", f.policy)
	}
	if etagMatches(r.Header["If-None-Match"], f.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.mediaType)
	h.Set("Content-Length", strconv.Itoa(len(f.body)))
	_, _ = w.Write(f.body) //nolint:gosec // a file of the binary; the caller is gone if this fails
}

// assets are the files beside the page.
type assets map[string]*file

func (a assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := a[r.PathValue("file")]
	if !ok {
		platform.WriteProblem(w, r, nil, platform.NotFound("path"))
		return
	}
	f.ServeHTTP(w, r)
}
