package notify

import (
	"strconv"
	texttemplate "text/template"
	"text/template/parse"
)

// textPart is the title or the body of a compiled template.
type textPart struct {
	template *texttemplate.Template
	plain    *plainText // nil where the text is more than words and variables
}

// execute writes the text. What plain cannot write, the interpreter writes, or
// says why it cannot.
func (p textPart) execute(w *meteredWriter, in *input) error {
	if p.plain != nil {
		before := *w.meter
		if p.plain.write(w, in.Data[0]) {
			return nil
		}
		*w.meter = before
		w.buf.Reset()
	}
	return p.template.Execute(w, in)
}

// plainText is a template of words and variables alone, such as
// "{{.data.id}} was created", which most rules have. It needs no interpreter,
// whose metered functions cost ten times as much: a rule for created records runs
// for each of them.
type plainText struct {
	parts []plainPart
	steps int // what the interpreter takes for it
}

// plainPart is words, or the path of a variable.
type plainPart struct {
	words string
	path  []string
}

// plainOf returns nil for a tree that has more than words and variables. It is
// asked before the meter is put into the tree.
func plainOf(tree *parse.Tree) *plainText {
	if tree == nil || tree.Root == nil {
		return nil
	}
	p := &plainText{steps: turnSteps + 1}
	for _, n := range tree.Root.Nodes {
		p.steps++
		switch n := n.(type) {
		case *parse.TextNode:
			p.parts = append(p.parts, plainPart{words: string(n.Text)})
		case *parse.ActionNode:
			path := variablePath(n.Pipe)
			if path == nil {
				return nil
			}
			p.steps += 3 + len(path) // a pipe, a command, an argument and its names
			p.parts = append(p.parts, plainPart{path: path})
		default:
			return nil
		}
	}
	return p
}

// variablePath returns the names in {{.a.b}}; nil for anything else.
func variablePath(p *parse.PipeNode) []string {
	if len(p.Decl) > 0 || len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		return nil
	}
	f, ok := p.Cmds[0].Args[0].(*parse.FieldNode)
	if !ok {
		return nil
	}
	return f.Ident
}

// write reports whether it has written the text: not where a variable is missing
// or is no text, number or boolean, nor where the budget ends.
func (p *plainText) write(w *meteredWriter, data map[string]any) bool {
	if w.meter.step(p.steps) != nil {
		return false
	}
	for _, part := range p.parts {
		if part.path == nil {
			if w.writeString(part.words) != nil {
				return false
			}
			continue
		}
		v, ok := lookUp(data, part.path)
		if !ok || w.meter.value(v) != nil || !w.writeValue(v) {
			return false
		}
	}
	return true
}

func lookUp(data map[string]any, path []string) (any, bool) {
	for _, name := range path[:len(path)-1] {
		inner, ok := data[name].(map[string]any)
		if !ok {
			return nil, false
		}
		data = inner
	}
	v, ok := data[path[len(path)-1]]
	return v, ok
}

// writeValue writes what package fmt writes; false for a type whose form is left
// to that.
func (w *meteredWriter) writeValue(v any) bool {
	switch v := v.(type) {
	case string:
		return w.writeString(v) == nil
	case int64:
		var digits [20]byte
		_, err := w.Write(strconv.AppendInt(digits[:0], v, 10))
		return err == nil
	case bool:
		return w.writeString(strconv.FormatBool(v)) == nil
	}
	return false
}
