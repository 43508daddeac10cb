package data

import (
	"net/http"
	"strconv"
)

func (s *Service) sendRecord(w http.ResponseWriter, status int, rec *Record) {
	w.Header().Set("ETag", etag(rec.Version))
	buf := s.buffer()
	defer s.recycle(buf)
	if len(rec.Data) > largeAnswer {
		p := parts{text: (*buf)[:0]}
		p.text = appendRecordHead(p.text, rec)
		p.data(rec)
		p.text = append(p.text, '}')
		p.send(w, status)
		*buf = p.text
		return
	}
	*buf = appendRecord((*buf)[:0], rec)
	send(w, status, *buf)
}

// pageSize is how many bytes of data a page holds.
func pageSize(p *Page) int {
	size := 0
	for i := range p.Records {
		size += len(p.Records[i].Data)
	}
	return size
}

// sendPageBody sends a page: a large one from where it is, without a copy.
func (s *Service) sendPageBody(w http.ResponseWriter, found *Page, total int64) {
	w.Header().Set("Cache-Control", "private, no-cache")
	buf := s.buffer()
	defer s.recycle(buf)
	if pageSize(found) > largeAnswer {
		p := parts{text: (*buf)[:0]}
		p.text = append(p.text, `{"data":[`...)
		for i := range found.Records {
			if i > 0 {
				p.text = append(p.text, ',')
			}
			p.text = appendRecordHead(p.text, &found.Records[i])
			p.data(&found.Records[i])
			p.text = append(p.text, '}')
		}
		p.text = appendPageEnd(p.text, found, total)
		p.send(w, http.StatusOK)
		*buf = p.text
		return
	}
	*buf = appendPage((*buf)[:0], found, total)
	send(w, http.StatusOK, *buf)
}

// parts is a large answer: text, between which the data of records goes as it is
// kept.
type parts struct {
	text    []byte
	records []*Record
	at      []int // where in text the data of each record goes
	size    int   // of the data
}

// data puts the data of a record here.
func (p *parts) data(r *Record) {
	p.records, p.at = append(p.records, r), append(p.at, len(p.text))
	p.size += len(r.Data)
}

// send sends the parts, and lets go of the data of each record once it is sent.
func (p *parts) send(w http.ResponseWriter, status int) {
	p.text = append(p.text, '\n')
	w.Header().Set("Content-Type", mediaJSON)
	w.Header().Set("Content-Length", strconv.Itoa(len(p.text)+p.size))
	w.WriteHeader(status)
	from := 0
	for i, at := range p.at {
		if _, err := w.Write(p.text[from:at]); err != nil {
			return // the caller is gone
		}
		if _, err := w.Write(p.records[i].Data); err != nil {
			return
		}
		p.records[i].Data, from = nil, at
	}
	_, _ = w.Write(p.text[from:])
}
