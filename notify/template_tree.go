package notify

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/template/parse"
)

// maxEscaping bounds what loops add to the work of html/template, which looks at
// the inside of a loop twice, and so at that of n nested loops 2^n times. It is
// in bytes of source, where a node counts as nodeBytes.
const (
	maxEscaping = 1 << 20
	nodeBytes   = 64
)

// restrict refuses what a tenant's template must not do.
func restrict(tree *parse.Tree, html bool) error {
	if tree == nil || tree.Root == nil { // an empty source
		return nil
	}
	r := restriction{tree: tree}
	r.list(tree.Root, 1)
	if r.err == nil && html && r.escaping > max(maxEscaping, 2*r.once) {
		return errors.New("loops are nested too deep")
	}
	return r.err
}

type restriction struct {
	tree     *parse.Tree
	escaping int // bytes that html/template would look at
	once     int // the same without loops
	err      error
}

func (r *restriction) refuse(n parse.Node, what string) {
	if r.err == nil {
		location, _ := r.tree.ErrorContext(n)
		r.err = fmt.Errorf("template: %s: %s is not available", location, what)
	}
}

// list looks at nodes that html/template looks at so many times.
func (r *restriction) list(l *parse.ListNode, times int) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		size := nodeBytes
		if text, ok := n.(*parse.TextNode); ok {
			size += len(text.Text)
		}
		r.once += size
		r.escaping += times * size
		switch n := n.(type) {
		case *parse.ActionNode:
			r.pipe(n.Pipe)
		case *parse.IfNode:
			r.branch(&n.BranchNode, times, times)
		case *parse.WithNode:
			r.branch(&n.BranchNode, times, times)
		case *parse.RangeNode:
			r.branch(&n.BranchNode, min(2*times, maxEscaping+1), times) // no further, lest it overflow
		case *parse.TemplateNode:
			r.refuse(n, "template")
		}
	}
}

func (r *restriction) branch(b *parse.BranchNode, times, otherwise int) {
	r.pipe(b.Pipe)
	r.list(b.List, times)
	r.list(b.ElseList, otherwise)
}

func (r *restriction) pipe(p *parse.PipeNode) {
	if p == nil {
		return
	}
	for _, c := range p.Cmds {
		for _, arg := range c.Args {
			switch arg := arg.(type) {
			case *parse.IdentifierNode:
				if _, ok := allowed[arg.Ident]; !ok {
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

// turnSteps is what a turn of a loop costs beside its nodes.
const turnSteps = 4

// input is what a rewritten tree is executed with.
type input struct {
	Meter *meter
	Data  [1]map[string]any
}

// meterVariable is the name of the variable that holds the meter. No source
// can name it, nor declare another of that name.
const meterVariable = ""

// rewrite puts the meter into a tree. Before each turn of a loop, and at the
// beginning, stands what its nodes cost, whichever of them will run; functions
// whose work depends on their arguments get the meter, or have it before them.
//
//	{{range .list}}{{upper .}}{{end}}
//
// becomes, with M for the variable of the meter,
//
//	{{M := .Meter}}{{range $ := .Data}}{{_step M 7}}
//	{{range _range M .list}}{{_step M 3}}{{upper M . | _value M}}{{end}}{{end}}
//
// It is done after html/template has escaped the tree, which would take the
// outer loop for one of the author's.
func rewrite(tree *parse.Tree) {
	if tree == nil || tree.Root == nil {
		return
	}
	body := &parse.ListNode{NodeType: parse.NodeList, Nodes: turn(tree.Root)}
	data := pipeOf(0, command(0, field("Data")))
	data.Decl = []*parse.VariableNode{variable(0, "$")}
	own := pipeOf(0, command(0, field("Meter")))
	own.Decl = []*parse.VariableNode{variable(0, meterVariable)}
	tree.Root = &parse.ListNode{NodeType: parse.NodeList, Nodes: []parse.Node{
		&parse.ActionNode{NodeType: parse.NodeAction, Line: 1, Pipe: own},
		&parse.RangeNode{BranchNode: parse.BranchNode{NodeType: parse.NodeRange, Line: 1, Pipe: data, List: body}},
	}}
}

// turn returns the nodes of l behind the step that pays for them.
func turn(l *parse.ListNode) []parse.Node {
	cost := turnSteps + rewriteList(l)
	pos := l.Pos
	if len(l.Nodes) > 0 {
		pos = l.Nodes[0].Position()
	}
	step := call(pos, stepFunction, number(pos, cost))
	return append([]parse.Node{&parse.ActionNode{NodeType: parse.NodeAction, Pos: pos, Pipe: pipeOf(pos, step)}}, l.Nodes...)
}

// rewriteList returns what one execution of the list costs at most, without
// the inside of its loops, which pay for themselves.
func rewriteList(l *parse.ListNode) int {
	if l == nil {
		return 0
	}
	cost := 1
	for _, n := range l.Nodes {
		cost++
		switch n := n.(type) {
		case *parse.ActionNode:
			cost += rewritePipe(n.Pipe)
			if len(n.Pipe.Decl) == 0 {
				meterOutput(n.Pipe)
			}
		case *parse.IfNode:
			cost += rewritePipe(n.Pipe) + rewriteList(n.List) + rewriteList(n.ElseList)
		case *parse.WithNode:
			cost += rewritePipe(n.Pipe) + rewriteList(n.List) + rewriteList(n.ElseList)
		case *parse.RangeNode:
			cost += rewritePipe(n.Pipe) + rewriteList(n.ElseList)
			n.List.Nodes = turn(n.List)
			n.Pipe.Cmds = append(n.Pipe.Cmds, call(n.Pos, rangeFunction))
		}
	}
	return cost
}

// rewritePipe returns the cost of the pipe.
func rewritePipe(p *parse.PipeNode) int {
	cost := 1
	cmds := make([]*parse.CommandNode, 0, len(p.Cmds))
	for i, c := range p.Cmds {
		cost++
		function := ""
		if id, ok := c.Args[0].(*parse.IdentifierNode); ok {
			function = id.Ident
		}
		for j, arg := range c.Args {
			cost++
			switch inner := arg.(type) {
			case *parse.PipeNode:
				cost += rewritePipe(inner)
			case *parse.ChainNode:
				cost += len(inner.Field)
				if pipe, ok := inner.Node.(*parse.PipeNode); ok {
					cost += rewritePipe(pipe)
				}
			case *parse.FieldNode:
				cost += len(inner.Ident)
			case *parse.VariableNode:
				cost += len(inner.Ident)
			}
			if j > 0 && comparing[function] {
				c.Args[j] = metered(arg)
			}
		}
		if allowed[function] {
			c.Args = append([]parse.Node{c.Args[0], variable(c.Pos, meterVariable)}, c.Args[1:]...)
		}
		if i > 0 && comparing[function] {
			cmds = append(cmds, call(c.Pos, textFunction))
		}
		cmds = append(cmds, c)
	}
	p.Cmds = cmds
	return cost
}

// metered has the meter before an argument that is not written in the source.
func metered(arg parse.Node) parse.Node {
	switch arg.(type) {
	case *parse.DotNode, *parse.FieldNode, *parse.VariableNode, *parse.ChainNode, *parse.PipeNode:
		return pipeOf(arg.Position(), call(arg.Position(), textFunction, arg))
	}
	return arg
}

// meterOutput has the meter before the value that is printed, which is before
// the functions by which html/template escapes it.
func meterOutput(p *parse.PipeNode) {
	at := len(p.Cmds)
	for i, c := range p.Cmds {
		if id, ok := c.Args[0].(*parse.IdentifierNode); ok && i > 0 && strings.HasPrefix(id.Ident, "_html_") {
			at = i
			break
		}
	}
	cmds := append([]*parse.CommandNode{}, p.Cmds[:at]...)
	p.Cmds = append(append(cmds, call(p.Pos, valueFunction)), p.Cmds[at:]...)
}

func call(pos parse.Pos, function string, args ...parse.Node) *parse.CommandNode {
	id := &parse.IdentifierNode{NodeType: parse.NodeIdentifier, Pos: pos, Ident: function}
	return command(pos, append([]parse.Node{id, variable(pos, meterVariable)}, args...)...)
}

func command(pos parse.Pos, args ...parse.Node) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pos, Args: args}
}

func pipeOf(pos parse.Pos, cmds ...*parse.CommandNode) *parse.PipeNode {
	return &parse.PipeNode{NodeType: parse.NodePipe, Pos: pos, Cmds: cmds}
}

func variable(pos parse.Pos, name string) *parse.VariableNode {
	return &parse.VariableNode{NodeType: parse.NodeVariable, Pos: pos, Ident: []string{name}}
}

func field(name string) *parse.FieldNode {
	return &parse.FieldNode{NodeType: parse.NodeField, Ident: []string{name}}
}

func number(pos parse.Pos, n int) *parse.NumberNode {
	return &parse.NumberNode{NodeType: parse.NodeNumber, Pos: pos, IsInt: true, Int64: int64(n), Text: strconv.Itoa(n)}
}
