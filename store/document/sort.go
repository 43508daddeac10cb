package document

// SortField is one field of an order or of an index.
type SortField struct {
	// Path is the dotted path of the field: "Title", "address.city".
	Path string
	// Desc sorts from the greatest to the least.
	Desc bool
}
