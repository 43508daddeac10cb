package postgres

import (
	"strconv"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxTexts bounds the texts that are remembered; a program has a few hundred.
const maxTexts = 2048

// binder writes the placeholders "?" as "$1", "$2".
type binder struct{ texts *lru.Cache[string, string] }

func newBinder() (*binder, error) {
	texts, err := lru.New[string, string](maxTexts)
	return &binder{texts}, err
}

func (b *binder) bind(query string) string {
	if bound, ok := b.texts.Get(query); ok {
		return bound
	}
	var out strings.Builder
	n := 0
	for part := range strings.SplitSeq(query, "?") {
		if n > 0 {
			out.WriteString("$" + strconv.Itoa(n))
		}
		out.WriteString(part)
		n++
	}
	b.texts.Add(query, out.String())
	return out.String()
}
