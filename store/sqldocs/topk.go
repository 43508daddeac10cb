package sqldocs

import (
	"container/heap"
	"slices"
)

// topK keeps the first limit places of those it is shown.
type topK struct {
	limit  int
	places []place // a heap with the last of them at its top
}

func (t *topK) Len() int           { return len(t.places) }
func (t *topK) Less(i, j int) bool { return t.places[i].compare(t.places[j]) > 0 }
func (t *topK) Swap(i, j int)      { t.places[i], t.places[j] = t.places[j], t.places[i] }
func (t *topK) Push(x any)         { t.places = append(t.places, x.(place)) } //nolint:forcetypeassert,errcheck // add alone calls it

// Pop implements [heap.Interface].
func (t *topK) Pop() any {
	last := t.places[len(t.places)-1]
	t.places = t.places[:len(t.places)-1]
	return last
}

// takes reports whether p would be kept.
func (t *topK) takes(p place) bool {
	return len(t.places) < t.limit || p.compare(t.places[0]) < 0
}

// add keeps p, which takes said yes to.
func (t *topK) add(p place) {
	if len(t.places) < t.limit {
		heap.Push(t, p)
		return
	}
	t.places[0] = p
	heap.Fix(t, 0)
}

func (t *topK) sorted() []place {
	slices.SortFunc(t.places, place.compare)
	return t.places
}
