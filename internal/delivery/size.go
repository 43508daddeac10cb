package delivery

// shrink is by how much a failed batch gets smaller, and a good one larger: 500
// events are down to a single one in three failures.
const shrink = 8

// alone is how many failures in a row leave little doubt that it is the event
// that fails and not the moment.
const alone = 8

// Size is how large the next batch may be: less after a failure, until the event
// that fails is alone and what precedes it is done.
type Size struct {
	most, now, failures int
}

// NewSize begins with the most events of a batch.
func NewSize(most int) Size { return Size{most: most, now: most} }

// Now is the most events of the next batch.
func (s *Size) Now() int { return s.now }

// Failures is how many batches in a row failed.
func (s *Size) Failures() int { return s.failures }

// Done notes that a batch was done.
func (s *Size) Done() {
	s.failures = 0
	s.now = min(s.now*shrink, s.most)
}

// Failed notes that a batch of n events failed, and reports, once, when it is
// about sure that its only event is the cause.
func (s *Size) Failed(n int) (stuck bool) {
	s.failures++
	s.now = max(1, n/shrink)
	return n == 1 && s.failures == alone
}
