package sqldocs

import (
	"math"

	"github.com/acme/platform/store/internal/docquery"
)

// maxPiece is how many rows are read at once at most.
const maxPiece = 1024

// piece is what one statement of a postgresSource asks for: so many rows, and
// the data of each as far as it has most bytes. What a page has no room for is
// then neither read from its place nor sent, however large it is.
type piece struct{ size, most int }

// smallData is how much data of one record is sent in any case.
const smallData = 16 << 10

func newPiece(size int) piece {
	if size == 1 {
		return piece{size, math.MaxInt32}
	}
	return piece{size, max(smallData, docquery.FetchBytes/size)}
}

// pieceRead is what came of a piece.
type pieceRead struct {
	rows, bytes int
	// cut is set where the data of the row after them was withheld.
	cut bool
}

// withheld counts a row with its data, or finds that it is withheld.
func (r *pieceRead) withheld(data []byte) bool {
	if r.cut = data == nil; !r.cut {
		r.rows++
		r.bytes += len(data)
	}
	return r.cut
}

// after returns the piece that follows, as large as the records that came let
// it be.
func (p piece) after(r pieceRead) piece {
	if r.cut {
		return newPiece(1)
	}
	fitting := docquery.FetchBytes / 2 / max(r.bytes/max(r.rows, 1), 1)
	return newPiece(max(1, min(max(2*p.size, 16), fitting, maxPiece)))
}

// inPieces calls next until it returns fewer rows than were asked for or wants no
// more.
func (s *postgresSource) inPieces(next func(piece) (got pieceRead, more bool, err error)) error {
	for p := newPiece(s.piece); ; {
		got, more, err := next(p)
		if err != nil || !more || !got.cut && got.rows < p.size {
			return err
		}
		p = p.after(got)
	}
}
