package data

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/acme/platform"
)

// recordBody and pageBody describe for OpenAPI what appendRecord and
// appendPage write.
type recordBody struct {
	ID        string         `json:"id"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
	Version   int64          `json:"version" doc:"Counts the changes; the ETag is this number in quotes"`
	Data      map[string]any `json:"data"`
}

type pageBody struct {
	Data       []recordBody `json:"data" nullable:"false"`
	NextCursor string       `json:"next_cursor,omitempty" doc:"Absent on the last page"`
	Total      int64        `json:"total,omitempty" doc:"How many match; where count=true asked for it"`
}

// appendRecord appends the JSON of a record; its data goes in as it is kept.
func appendRecord(dst []byte, r *Record) []byte {
	return append(append(appendRecordHead(dst, r), r.Data...), '}')
}

// appendRecordHead appends what stands before the data of a record.
func appendRecordHead(dst []byte, r *Record) []byte {
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, r.ID)
	dst = append(dst, `,"created_at":"`...)
	dst = r.CreatedAt.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","updated_at":"`...)
	dst = r.UpdatedAt.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","version":`...)
	dst = appendInt(dst, r.Version)
	return append(dst, `,"data":`...)
}

// appendPage appends the JSON of a page; a negative total is left out.
func appendPage(dst []byte, p *Page, total int64) []byte {
	dst = append(dst, `{"data":[`...)
	for i := range p.Records {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendRecord(dst, &p.Records[i])
	}
	return appendPageEnd(dst, p, total)
}

// appendPageEnd appends what stands after the records of a page.
func appendPageEnd(dst []byte, p *Page, total int64) []byte {
	dst = append(dst, ']')
	if p.Next != "" {
		dst = append(dst, `,"next_cursor":"`...) // base 64 needs no escapes
		dst = append(append(dst, p.Next...), '"')
	}
	if total >= 0 {
		dst = appendInt(append(dst, `,"total":`...), total)
	}
	return append(dst, '}')
}

// envelope reads {"id": "…", "data": {…}} in one pass; id only where it may be
// given. The data comes back compact and in memory of its own.
func envelope(body []byte, withID bool) (id string, data json.RawMessage, err error) {
	s := scanner{in: body}
	if s.space(); !s.at('{') {
		if err := s.object(""); err != nil {
			return "", nil, err
		}
	}
	s.pos++
	if s.space(); s.at('}') {
		return "", nil, missingData()
	}
	for {
		if !s.at('"') {
			return "", nil, s.malformed("a name in quotes must stand here")
		}
		name, err := s.text("")
		if err != nil {
			return "", nil, err
		}
		if s.space(); !s.at(':') {
			return "", nil, s.malformed("a colon must stand here")
		}
		s.pos++
		s.space()
		switch {
		case string(name) == "data" && data == nil:
			s.out = make([]byte, 0, len(body)-s.pos)
			if err := s.object("/data"); err != nil {
				return "", nil, err
			}
			data, s.out = s.out, nil
		case string(name) == "id" && withID && id == "":
			if !s.at('"') {
				return "", nil, platform.Invalid(platform.Field{Path: "/id", Code: "type", Detail: "must be a string"})
			}
			text, err := s.text("/id")
			if err != nil {
				return "", nil, err
			}
			if id = string(text); id == "" {
				return "", nil, platform.Invalid(platform.Field{Path: "/id", Code: "format", Detail: idRule})
			}
		default:
			code, detail := "unknown", "the body has the member data"
			if withID {
				detail += " and may have id"
			}
			if string(name) == "data" || string(name) == "id" && withID {
				code, detail = "duplicate_name", "an object must not have a name twice"
			}
			return "", nil, platform.Invalid(platform.Field{Path: "/" + escapePointer(string(name)), Code: code, Detail: detail})
		}
		if s.space(); s.at('}') {
			break
		}
		if !s.at(',') {
			return "", nil, s.malformed("a comma or a brace must stand here")
		}
		s.pos++
		s.space()
	}
	s.pos++
	if s.space(); s.pos != len(body) {
		return "", nil, s.malformed("text follows the value")
	}
	if data == nil {
		return "", nil, missingData()
	}
	return id, data, nil
}

func missingData() error {
	return platform.Invalid(platform.Field{Path: "/data", Code: "required", Detail: "is required: the record's content, a JSON object"})
}

// appendString appends s as a JSON string. It must be valid UTF-8.
func appendString(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

func appendInt(dst []byte, n int64) []byte { return strconv.AppendInt(dst, n, 10) }
