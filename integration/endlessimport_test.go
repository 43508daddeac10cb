package integration

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// withoutEnd is a body that begins with text and then goes on for ever.
type withoutEnd struct {
	begin io.Reader
	sent  atomic.Int64
}

func (b *withoutEnd) Read(p []byte) (int, error) {
	n, err := b.begin.Read(p)
	if err != nil {
		n = copy(p, bytes.Repeat([]byte("x"), len(p)))
	}
	b.sent.Add(int64(n))
	return n, nil
}

// A file whose cell or line does not end is refused while it is sent, with how far
// the import came.
func TestAnImportWithoutAnEndIsRefused(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		s := start(t, at)
		ann := s.signUp("ann@example.com", "Acme")
		ann.want(http.StatusCreated, "POST", "/v1/data/collections", map[string]string{"name": "films"}, nil)
		for media, begin := range map[string]string{
			"text/csv": "title\nM\nMetropolis\n\"", "application/x-ndjson": "{\"title\":\"M\"}\n{}\n", "application/json": `[{},{"title":"M"},{"a":"`,
		} {
			body := &withoutEnd{begin: strings.NewReader(begin)}
			a := ann.send("POST", "/v1/data/collections/films/records/import", media, body)
			if a.status != http.StatusRequestEntityTooLarge || !strings.Contains(string(a.body), `"import_too_large"`) ||
				!strings.Contains(string(a.body), "2 records were imported") {
				t.Errorf("%s: %d %s", media, a.status, a.body)
			}
			if sent := body.sent.Load(); sent > 64<<20 {
				t.Errorf("%s: %d MiB were taken", media, sent>>20)
			}
		}
		if got := ann.list("films"); len(got) != 6 {
			t.Errorf("%d records were kept, want 6", len(got))
		}
	})
}
