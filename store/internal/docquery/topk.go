package docquery

import (
	"container/heap"
	"slices"

	"github.com/acme/platform/store/document"
)

// candidate is a record that may be among the first.
type candidate struct {
	Place

	record document.Record
}

// topK keeps the first limit candidates of those it is shown.
type topK struct {
	limit  int
	places []candidate // a heap with the last of them at its top
}

func (t *topK) Len() int           { return len(t.places) }
func (t *topK) Less(i, j int) bool { return t.places[i].Compare(t.places[j].Place) > 0 }
func (t *topK) Swap(i, j int)      { t.places[i], t.places[j] = t.places[j], t.places[i] }
func (t *topK) Push(x any)         { t.places = append(t.places, x.(candidate)) } //nolint:forcetypeassert,errcheck // add alone calls it

// Pop implements [heap.Interface].
func (t *topK) Pop() any {
	last := t.places[len(t.places)-1]
	t.places = t.places[:len(t.places)-1]
	return last
}

// takes reports whether p would be kept.
func (t *topK) takes(p Place) bool {
	return len(t.places) < t.limit || p.Compare(t.places[0].Place) < 0
}

// add keeps p, which takes said yes to.
func (t *topK) add(p candidate) {
	if len(t.places) < t.limit {
		heap.Push(t, p)
		return
	}
	t.places[0] = p
	heap.Fix(t, 0)
}

func (t *topK) sorted() []candidate {
	slices.SortFunc(t.places, func(a, b candidate) int { return a.Compare(b.Place) })
	return t.places
}
