package notify

import (
	"context"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"regexp"
	"strings"
	texttemplate "text/template"
	"text/template/parse"
	"unicode"
	"unicode/utf8"

	"github.com/acme/platform"
)

// Limits of a template's source and of what it writes; what it may do between
// is the meter's.
const (
	maxTitleSource = 1 << 10
	maxBodySource  = 32 << 10
	maxHTMLSource  = 64 << 10

	maxTitle = 500
	maxBody  = 64 << 10
	maxHTML  = 256 << 10
)

var (
	templateErr = regexp.MustCompile(`^(?:html/)?template: ?(?:[a-z]+):(\d+)(?::\d+)?: (?:executing "[a-z]+" at )?`)
	// A variable without a name prints as nothing.
	meterText = strings.NewReplacer(textFunction+"  ", "", " | "+valueFunction+" ", "", " | "+rangeFunction+" ", "", "  ", " ")
)

// compiled is a template ready to render. It is safe for concurrent use.
type compiled struct {
	title, body textPart
	html        *htmltemplate.Template // nil where there is no HTML part
}

// rendered is the text of one message.
type rendered struct{ title, body, html string }

// compile parses the three sources; html may be empty. The error is
// KindInvalid and names the part and the line of everything that is wrong.
func compile(title, body, html string) (*compiled, error) {
	var (
		c      compiled
		fields []platform.Field
	)
	note := func(part string, err error) {
		if err != nil {
			fields = append(fields, platform.Field{Path: "/" + part, Code: "template", Detail: templateDetail(err)})
		}
	}
	size := func(part, source string, limit int, required bool) {
		if required && strings.TrimSpace(source) == "" {
			fields = append(fields, platform.Field{Path: "/" + part, Code: "required", Detail: "must not be empty"})
		}
		if source != storable(source) {
			fields = append(fields, platform.Field{Path: "/" + part, Code: "format", Detail: "must be UTF-8 without U+0000"})
		}
		if len(source) > limit {
			fields = append(fields, platform.Field{Path: "/" + part, Code: "too_long", Detail: fmt.Sprintf("must be at most %d bytes", limit)})
		}
	}
	size("title", title, maxTitleSource, true)
	size("body", body, maxBodySource, false)
	size("html", html, maxHTMLSource, false)
	if fields != nil {
		return nil, platform.Invalid(fields...)
	}
	var err error
	c.title, err = compileText("title", title)
	note("title", err)
	c.body, err = compileText("body", body)
	note("body", err)
	if html != "" {
		c.html, err = compileHTML(html)
		note("html", err)
	}
	if fields != nil {
		return nil, platform.Invalid(fields...)
	}
	return &c, nil
}

func compileText(name, source string) (textPart, error) {
	t, err := texttemplate.New(name).Option("missingkey=error").Funcs(functions).Parse(source)
	if err != nil {
		return textPart{}, err
	}
	if len(t.Templates()) > 1 {
		return textPart{}, errors.New("define and block are not available")
	}
	if err := restrict(t.Tree, false); err != nil {
		return textPart{}, err
	}
	p := textPart{template: t, plain: plainOf(t.Tree)}
	rewrite(t.Tree)
	return p, nil
}

func compileHTML(source string) (*htmltemplate.Template, error) {
	t, err := htmltemplate.New("html").Option("missingkey=error").Funcs(functions).Parse(source)
	if err != nil {
		return nil, err
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New("define and block are not available")
	}
	if err := restrict(t.Tree, true); err != nil {
		return nil, err
	}
	if err := escape(t); err != nil {
		return nil, err
	}
	rewrite(t.Tree)
	return t, nil
}

// escape has html/template escape t, which it does at the first execution. A
// node in front of all others ends that, because nothing meters it yet.
func escape(t *htmltemplate.Template) error {
	root := t.Tree.Root
	stop := command(0, &parse.IdentifierNode{NodeType: parse.NodeIdentifier, Ident: stopFunction})
	root.Nodes = append([]parse.Node{&parse.ActionNode{NodeType: parse.NodeAction, Line: 1, Pipe: pipeOf(0, stop)}}, root.Nodes...)
	err := t.Execute(io.Discard, nil)
	var wrong *htmltemplate.Error
	switch {
	case errors.As(err, &wrong):
		location := fmt.Sprintf("html:%d", wrong.Line)
		if wrong.Node != nil {
			location, _ = t.Tree.ErrorContext(wrong.Node)
		}
		// What follows is the state of the escaper, which says nothing to the author.
		what, _, _ := strings.Cut(wrong.Description, ": {state")
		return fmt.Errorf("template: %s: %s", location, what)
	case !errors.Is(err, errStop):
		return fmt.Errorf("notify: escape a template: %w", err)
	}
	root.Nodes = root.Nodes[1:]
	return nil
}

// templateDetail turns "template: body:3: function …" into "line 3: function …",
// and what the meter put into a tree into what the author wrote.
func templateDetail(err error) string {
	text := err.Error()
	m := templateErr.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	for _, spent := range []error{errSteps, errBytes, errLate, errTooLong, errTooBig} {
		if errors.Is(err, spent) {
			return "line " + m[1] + ": " + spent.Error()
		}
	}
	return "line " + m[1] + ": " + meterText.Replace(text[len(m[0]):])
}

// render executes the template. It returns also what that took, in steps. The
// error is that of ctx where the caller has ended it, and else KindInvalid, at
// the given path, and errBudget where the budget was used up.
func (c *compiled) render(ctx context.Context, data map[string]any, path string) (rendered, int, error) {
	m := newMeter(ctx)
	r, part, err := c.execute(&input{Meter: &m, Data: [1]map[string]any{data}})
	if err == nil {
		return r, m.cost(), nil
	}
	if ctx.Err() != nil {
		return rendered{}, m.cost(), ctx.Err()
	}
	return rendered{}, m.cost(), platform.Invalid(platform.Field{
		Path: path, Code: "template", Detail: "the " + part + " cannot be made: " + templateDetail(err),
	}).Because(err)
}

// execute returns the parts, or which of them failed.
func (c *compiled) execute(in *input) (r rendered, part string, err error) {
	w := meteredWriter{meter: in.Meter, max: maxBody}
	if err := c.title.execute(&w, in); err != nil {
		return r, "title", err
	}
	r.title = oneLine(w.buf.String())
	w.buf.Reset()
	if err := c.body.execute(&w, in); err != nil {
		return r, "body", err
	}
	r.body = storable(w.buf.String())
	if c.html != nil {
		w.buf.Reset()
		w.max = maxHTML
		if err := c.html.Execute(&w, in); err != nil {
			return r, "html", err
		}
		r.html = storable(w.buf.String())
	}
	return r, "", nil
}

// storable leaves out what no store of text need take: bytes that are no UTF-8,
// which the function slice can make, and U+0000, which a variable can hold.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, ""), "\x00", "")
}

// oneLine makes a title that fits into a header: control characters and line
// separators become spaces, so that nothing in a variable can begin a header
// of its own, and what is longer than maxTitle bytes is cut.
func oneLine(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s))
	if len(s) <= maxTitle {
		return s
	}
	cut := maxTitle - len("…")
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
