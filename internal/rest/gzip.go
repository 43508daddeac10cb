package rest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/acme/platform"
)

// A body in gzip counts as what it decodes to: an operation that takes 64 KiB
// takes no more of it. Where an operation bounds its input by itself, such as an
// import of gigabytes, these two end a body that is made to cost more than it
// carries. Text of records shrinks some 5 to 50 times.
const (
	maxGzipRatio = 200
	gzipSlack    = 1 << 20 // bytes, of either side, before the ratio counts
)

// decoded returns the request with its body decoded. Gzip is the one coding that
// is taken (RFC 9110, section 8.4.1.3, also as x-gzip), once.
func (ad *admission) decoded(w http.ResponseWriter, r *http.Request, codings []string) (*http.Request, func(), error) {
	coding := strings.ToLower(strings.TrimSpace(strings.Join(codings, ",")))
	switch coding {
	case "", "identity":
		return r, nil, nil
	case "gzip", "x-gzip":
	default:
		w.Header().Set("Accept-Encoding", "gzip")
		return nil, nil, platform.Errorf(platform.KindUnsupported, "content_encoding",
			"this operation takes a body as it is, or with the one Content-Encoding gzip")
	}
	b := &gzipBody{source: gzipSource{r: r.Body}, max: ad.maxBody}
	b.source.body = b
	b.gz, _ = ad.api.gzips.Get().(*gzip.Reader)
	plain := withHeader(r)
	plain.Header.Del("Content-Encoding")
	plain.Header.Del("Content-Length")
	plain.ContentLength = -1
	plain.Body = b
	return plain, func() { b.release(ad.api) }, nil
}

// gzipBody is the decoded body of one request.
type gzipBody struct {
	source gzipSource
	gz     *gzip.Reader
	begun  bool
	out    int64
	max    int64 // negative is no limit
	err    error
}

// gzipSource is the body as it was sent.
type gzipSource struct {
	r    io.ReadCloser
	body *gzipBody
	in   int64
	err  error
}

func (s *gzipSource) Read(p []byte) (int, error) {
	if s.in > s.body.out+gzipSlack { // members without content, one after the other
		s.err = platform.Errorf(platform.KindMalformed, codeGzip, "the compressed body is larger than what it holds")
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.in += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

const codeGzip = "malformed_gzip"

func (b *gzipBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.read(p)
	b.out += int64(n)
	switch {
	case b.source.err != nil: // the connection's own, such as too late or too large
		err = b.source.err
	case err != nil && !errors.Is(err, io.EOF):
		err = platform.Errorf(platform.KindMalformed, codeGzip, "the body is not whole, or not in gzip as its Content-Encoding says").Because(err)
	case b.max >= 0 && b.out > b.max:
		n -= int(b.out - b.max)
		err = &http.MaxBytesError{Limit: b.max}
	case b.out > gzipSlack && b.out/maxGzipRatio > b.source.in:
		err = platform.Errorf(platform.KindTooLarge, "compression_ratio",
			"the body grows more than %d times as it is decompressed; send it without Content-Encoding", maxGzipRatio)
	}
	b.err = err
	return n, err
}

func (b *gzipBody) read(p []byte) (int, error) {
	if !b.begun {
		b.begun = true
		var err error
		if b.gz == nil {
			b.gz, err = gzip.NewReader(&b.source)
		} else {
			err = b.gz.Reset(&b.source)
		}
		if errors.Is(err, io.EOF) { // a body without even a header
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
	}
	return b.gz.Read(p)
}

// Close closes the body as it was sent.
func (b *gzipBody) Close() error { return b.source.r.Close() }

var errReleased = errors.New("rest: a body was read after its request")

// release keeps the decoder for the next request.
func (b *gzipBody) release(a *API) {
	b.err = errReleased
	if b.gz != nil && b.begun {
		_ = b.gz.Reset(bytes.NewReader(nil)) // an error; it holds the body no more
	}
	if b.gz != nil {
		a.gzips.Put(b.gz)
		b.gz = nil
	}
}
