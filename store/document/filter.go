package document

// Filter selects documents. The zero value selects all. It is made by
// [ParseFilter] and not changed afterwards.
type Filter struct{}
