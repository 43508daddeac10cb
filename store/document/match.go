package document

// match reports whether a whole record meets the node; root is its data.
func (n *node) match(r *Record, root []byte) bool {
	switch n.op {
	case opAnd:
		for _, kid := range n.kids {
			if !kid.match(r, root) {
				return false
			}
		}
		return true
	case opOr:
		for _, kid := range n.kids {
			if kid.match(r, root) {
				return true
			}
		}
		return false
	case opNot:
		return !n.kids[0].match(r, root)
	}
	switch {
	case n.path.system:
		if r == nil { // inside an element of an array
			return n.test(nil)
		}
		return n.test(r.system(n.path.text))
	case kindOf(root) == kindArray: // an element that $elemMatch takes as a record
		return n.descend(element(root, n.path.names[0].index), n.path.names[1:])
	}
	return n.along(root, n.path.names)
}

// descend goes on with a value that was found under a name; nil is none.
func (n *node) descend(v []byte, names []name) bool {
	if v == nil {
		return n.test(nil)
	}
	return n.along(v, names)
}

// along follows a path from v and reports whether the condition is met at any
// of its ends.
func (n *node) along(v []byte, names []name) bool {
	if len(names) == 0 {
		return n.end(v)
	}
	switch kindOf(v) {
	case kindObject:
		return n.descend(lookup(v, names[0].text), names[1:])
	case kindArray:
		i := 0
		for e := (elements{raw: v}); e.next(); i++ {
			k := kindOf(e.value)
			if k == kindObject && n.along(e.value, names) {
				return true
			}
			if i != names[0].index {
				continue
			}
			if len(names) == 1 {
				if n.test(e.value) { // an element that was named is not opened
					return true
				}
			} else if (k == kindObject || k == kindArray) && n.along(e.value, names[1:]) {
				return true
			}
		}
		return false
	}
	return n.test(nil)
}

// end asks about the value at the end of a path, and about its elements.
func (n *node) end(v []byte) bool {
	if n.test(v) {
		return true
	}
	if kindOf(v) != kindArray {
		return false
	}
	switch n.op {
	case opSize, opElemRecord, opElemValue, opExists:
		return false
	}
	for e := (elements{raw: v}); e.next(); {
		if n.test(e.value) {
			return true
		}
	}
	return false
}

// test asks the condition, or the combination of conditions inside $elemMatch,
// about one value; nil is a missing one.
func (n *node) test(v []byte) bool {
	switch n.op {
	case opAnd:
		for _, kid := range n.kids {
			if !kid.test(v) {
				return false
			}
		}
		return true
	case opOr:
		for _, kid := range n.kids {
			if kid.test(v) {
				return true
			}
		}
		return false
	case opNot:
		return !n.kids[0].test(v)
	case opEq:
		return n.arg.equal(v)
	case opIn:
		return anyEqual(n.args, v)
	case opExists:
		return v != nil
	case opType:
		return n.kinds[kindOf(v)]
	case opSize:
		return kindOf(v) == kindArray && count(v) == n.size
	case opRegex:
		return kindOf(v) == kindString && n.regexp.Match(text(v))
	case opElemRecord, opElemValue:
		return n.testElements(v)
	}
	c, same := n.arg.compare(v)
	if !same {
		return false
	}
	switch n.op {
	case opGt:
		return c > 0
	case opGte:
		return c >= 0
	case opLt:
		return c < 0
	}
	return c <= 0 // opLte
}

func (n *node) testElements(v []byte) bool {
	if kindOf(v) != kindArray {
		return false
	}
	for e := (elements{raw: v}); e.next(); {
		if n.op == opElemValue {
			if n.kids[0].test(e.value) {
				return true
			}
			continue
		}
		switch kindOf(e.value) {
		case kindObject, kindArray:
			if n.kids[0].match(nil, e.value) {
				return true
			}
		}
	}
	return false
}

// element returns one element of an array, or nil.
func element(array []byte, index int) []byte {
	i := 0
	for e := (elements{raw: array}); e.next(); i++ {
		if i == index {
			return e.value
		}
	}
	return nil
}
