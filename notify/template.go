package notify

import (
	"bytes"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"reflect"
	"regexp"
	"strings"
	texttemplate "text/template"
	"text/template/parse"
	"unicode"
	"unicode/utf8"

	"github.com/acme/platform"
)

// Limits of a template: of its source, of what it may write, and of how many
// nodes it may visit inside loops. Templates are written by tenants, so a
// rendering must end soon and stay small whatever the source says.
const (
	maxTitleSource = 1 << 10
	maxBodySource  = 32 << 10
	maxHTMLSource  = 64 << 10

	maxTitle = 500
	maxBody  = 64 << 10
	maxHTML  = 256 << 10

	maxSteps = 50_000
	maxValue = 64 << 10 // bytes of one value that print or join builds
)

var (
	errTooLong  = errors.New("the result is too long")
	errTooSlow  = errors.New("the loops run too often")
	errTooBig   = fmt.Errorf("a value is larger than %d bytes", maxValue)
	templateErr = regexp.MustCompile(`^(?:html/)?template: ?(?:[a-z]+):(\d+)(?::\d+)?: (?:executing "[a-z]+" at )?`)
)

// allowed are the functions a template may call. Those of text/template that
// are missing here can build values without a bound (printf, js) or call what
// they find (call).
var allowed = map[string]bool{
	"and": true, "or": true, "not": true, "eq": true, "ne": true, "lt": true, "le": true, "gt": true, "ge": true,
	"len": true, "index": true, "slice": true,
	"print": true, "join": true, "upper": true, "lower": true, "trim": true, "default": true,
}

var functions = map[string]any{
	"print": func(values ...any) (string, error) { return concat("", values) },
	"join": func(separator string, list any) (string, error) {
		v := reflect.ValueOf(list)
		if v.Kind() != reflect.Slice {
			return "", errors.New("join needs a list")
		}
		values := make([]any, v.Len())
		for i := range values {
			values[i] = v.Index(i).Interface()
		}
		return concat(separator, values)
	},
	"upper": strings.ToUpper,
	"lower": strings.ToLower,
	"trim":  strings.TrimSpace,
	"default": func(fallback, value any) any {
		if value == nil || value == "" {
			return fallback
		}
		return value
	},
}

// concat is fmt.Sprint with a bound after each value.
func concat(separator string, values []any) (string, error) {
	var b []byte
	for i, v := range values {
		if i > 0 {
			b = append(b, separator...)
		}
		if b = fmt.Append(b, v); len(b) > maxValue {
			return "", errTooBig
		}
	}
	return string(b), nil
}

// compiled is a template ready to render. It is safe for concurrent use.
type compiled struct {
	title, body *texttemplate.Template
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

func compileText(name, source string) (*texttemplate.Template, error) {
	t, err := texttemplate.New(name).Option("missingkey=error").Funcs(functions).Parse(source)
	if err != nil {
		return nil, err
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New("define and block are not available")
	}
	return t, restrict(t.Tree)
}

func compileHTML(source string) (*htmltemplate.Template, error) {
	t, err := htmltemplate.New("html").Option("missingkey=error").Funcs(functions).Parse(source)
	if err != nil {
		return nil, err
	}
	if len(t.Templates()) > 1 {
		return nil, errors.New("define and block are not available")
	}
	if err := restrict(t.Tree); err != nil {
		return nil, err
	}
	// Escaping happens at the first execution; what it finds belongs to the
	// author of the template, a missing variable does not.
	var escape *htmltemplate.Error
	if err := t.Execute(&boundedWriter{max: maxHTML, steps: maxSteps}, map[string]any{}); errors.As(err, &escape) {
		location := fmt.Sprintf("html:%d", escape.Line)
		if escape.Node != nil {
			location, _ = t.Tree.ErrorContext(escape.Node)
		}
		// What follows is the state of the escaper, which says nothing to the author.
		what, _, _ := strings.Cut(escape.Description, ": {state")
		return nil, fmt.Errorf("template: %s: %s", location, what)
	}
	return t, nil
}

// templateDetail turns "template: body:3: function …" into "line 3: function …".
func templateDetail(err error) string {
	text := err.Error()
	if m := templateErr.FindStringSubmatch(text); m != nil {
		return "line " + m[1] + ": " + text[len(m[0]):]
	}
	return text
}

// restrict refuses what a tenant's template must not do and puts a step into
// every loop, so that the writer can end it: a text node is written even when
// it is empty.
func restrict(tree *parse.Tree) error {
	if tree == nil || tree.Root == nil { // an empty source
		return nil
	}
	r := restriction{tree: tree}
	r.list(tree.Root, false)
	return r.err
}

type restriction struct {
	tree *parse.Tree
	err  error
}

func (r *restriction) refuse(n parse.Node, what string) {
	if r.err == nil {
		location, _ := r.tree.ErrorContext(n)
		r.err = fmt.Errorf("template: %s: %s is not available", location, what)
	}
}

func (r *restriction) list(l *parse.ListNode, loop bool) {
	if l == nil {
		return
	}
	nodes := make([]parse.Node, 0, 2*len(l.Nodes)+1)
	if loop {
		nodes = append(nodes, step())
	}
	for _, n := range l.Nodes {
		r.node(n, loop)
		nodes = append(nodes, n)
		if loop {
			nodes = append(nodes, step())
		}
	}
	l.Nodes = nodes
}

func step() parse.Node { return &parse.TextNode{NodeType: parse.NodeText} }

func (r *restriction) node(n parse.Node, loop bool) {
	switch n := n.(type) {
	case *parse.ActionNode:
		r.pipe(n.Pipe)
	case *parse.IfNode:
		r.branch(&n.BranchNode, loop)
	case *parse.WithNode:
		r.branch(&n.BranchNode, loop)
	case *parse.RangeNode:
		r.branch(&n.BranchNode, true)
	case *parse.TemplateNode:
		r.refuse(n, "template")
	}
}

func (r *restriction) branch(b *parse.BranchNode, loop bool) {
	r.pipe(b.Pipe)
	r.list(b.List, loop)
	r.list(b.ElseList, loop)
}

func (r *restriction) pipe(p *parse.PipeNode) {
	if p == nil {
		return
	}
	for _, c := range p.Cmds {
		for _, arg := range c.Args {
			switch arg := arg.(type) {
			case *parse.IdentifierNode:
				if !allowed[arg.Ident] {
					r.refuse(arg, "the function "+arg.Ident)
				}
			case *parse.PipeNode:
				r.pipe(arg)
			case *parse.ChainNode:
				if inner, ok := arg.Node.(*parse.PipeNode); ok {
					r.pipe(inner)
				}
			}
		}
	}
}

// boundedWriter ends a rendering that writes too much or too often.
type boundedWriter struct {
	buf        bytes.Buffer
	max, steps int
}

func (w *boundedWriter) Write(p []byte) (int, error) {
	w.steps--
	if w.steps < 0 {
		return 0, errTooSlow
	}
	if w.buf.Len()+len(p) > w.max {
		return 0, errTooLong
	}
	return w.buf.Write(p)
}

// render executes the template. The error is KindInvalid, at the given path.
func (c *compiled) render(data any, path string) (rendered, error) {
	var (
		r rendered
		w = boundedWriter{max: maxBody, steps: maxSteps}
	)
	fail := func(part string, err error) (rendered, error) {
		return rendered{}, platform.Invalid(platform.Field{
			Path: path, Code: "template", Detail: "the " + part + " cannot be made: " + templateDetail(err),
		})
	}
	if err := c.title.Execute(&w, data); err != nil {
		return fail("title", err)
	}
	r.title = oneLine(w.buf.String())
	w.buf.Reset()
	if err := c.body.Execute(&w, data); err != nil {
		return fail("body", err)
	}
	r.body = storable(w.buf.String())
	if c.html != nil {
		w.buf.Reset()
		w.max = maxHTML
		if err := c.html.Execute(&w, data); err != nil {
			return fail("html", err)
		}
		r.html = storable(w.buf.String())
	}
	return r, nil
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
