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

// bytes is what it takes in memory, more or less.
func (c *candidate) bytes() int { return len(c.Key) + len(c.record.Data) }

// topK keeps the first candidates of those it is shown: up to limit, and up to
// maxBytes of them and one more. What it drops is on no page that begins with
// those it keeps.
type topK struct {
	limit    int
	maxBytes int // 0 is no bound
	places   []candidate
	size     int  // of places, a heap with the last of them at its top
	more     bool // whether a candidate was dropped
}

func (t *topK) Len() int           { return len(t.places) }
func (t *topK) Less(i, j int) bool { return t.places[i].Compare(t.places[j].Place) > 0 }
func (t *topK) Swap(i, j int)      { t.places[i], t.places[j] = t.places[j], t.places[i] }
func (t *topK) Push(x any)         { t.places = append(t.places, x.(candidate)) } //nolint:forcetypeassert,errcheck // add alone calls it

// Pop implements [heap.Interface].
func (t *topK) Pop() any {
	last := t.places[len(t.places)-1]
	t.places[len(t.places)-1] = candidate{} // its data goes
	t.places = t.places[:len(t.places)-1]
	return last
}

// takes reports whether p would be kept.
func (t *topK) takes(p Place) bool {
	if len(t.places) > 0 && (len(t.places) == t.limit || t.over(t.size)) && p.Compare(t.places[0].Place) > 0 {
		t.more = true
		return false
	}
	return true
}

func (t *topK) over(size int) bool { return t.maxBytes > 0 && size > t.maxBytes }

// add keeps c, which takes said yes to, and tells of what it drops for it.
func (t *topK) add(c candidate, dropped func(candidate)) {
	t.size += c.bytes()
	heap.Push(t, c)
	for len(t.places) > t.limit || len(t.places) > 1 && t.over(t.size-t.places[0].bytes()) {
		last := heap.Pop(t).(candidate) //nolint:forcetypeassert,errcheck // it holds nothing else
		t.size -= last.bytes()
		t.more = true
		dropped(last)
	}
}

func (t *topK) sorted() []candidate {
	slices.SortFunc(t.places, func(a, b candidate) int { return a.Compare(b.Place) })
	return t.places
}
