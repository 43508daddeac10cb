package rest

import (
	"errors"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/acme/platform"
)

// humaContext has another name than its own method Context, to be embedded.
type humaContext = huma.Context

// bodyContext remembers why a request body could not be read, which huma takes
// for a fault of ours whatever the reason.
type bodyContext struct {
	humaContext
	body    io.Reader
	problem *platform.Problem // nil as long as the body can be read
}

func (c *bodyContext) BodyReader() io.Reader { return c }

// Read reads the body.
func (c *bodyContext) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		c.problem = platform.BodyProblem(c.Context(), err)
	}
	return n, err
}

// Close closes the body.
func (c *bodyContext) Close() error {
	if closer, ok := c.body.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}

func (c *bodyContext) SetStatus(status int) {
	if c.problem != nil && status == http.StatusInternalServerError {
		status = c.problem.Status
	}
	c.humaContext.SetStatus(status)
}
