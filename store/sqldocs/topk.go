package sqldocs

import (
	"container/heap"
	"slices"
)

// topK keeps the first limit records of an order; its memory does not grow
// with what it is shown.
type topK struct {
	limit int
	items []found // a heap with the last of them at its top
}

func (t *topK) Len() int           { return len(t.items) }
func (t *topK) Less(i, j int) bool { return t.items[i].compare(t.items[j].place) > 0 }
func (t *topK) Swap(i, j int)      { t.items[i], t.items[j] = t.items[j], t.items[i] }
func (t *topK) Push(x any)         { t.items = append(t.items, x.(found)) } //nolint:forcetypeassert // add alone calls it

// Pop implements [heap.Interface].
func (t *topK) Pop() any {
	last := t.items[len(t.items)-1]
	t.items = t.items[:len(t.items)-1]
	return last
}

// takes reports whether a record at p would be kept.
func (t *topK) takes(p place) bool {
	return len(t.items) < t.limit || p.compare(t.items[0].place) < 0
}

// add keeps f, which takes said yes to.
func (t *topK) add(f found) {
	if len(t.items) < t.limit {
		heap.Push(t, f)
		return
	}
	t.items[0] = f
	heap.Fix(t, 0)
}

func (t *topK) sorted() []found {
	slices.SortFunc(t.items, func(a, b found) int { return a.compare(b.place) })
	return t.items
}
