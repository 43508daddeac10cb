package data_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/data"
)

// endlessInput is a beginning and then the same for ever. It counts what is read.
type endlessInput struct {
	begin  string
	repeat string
	read   int
	each   func() // before each read
}

func (e *endlessInput) Read(p []byte) (int, error) {
	if e.each != nil {
		e.each()
	}
	for i := range p {
		if at := e.read + i; at < len(e.begin) {
			p[i] = e.begin[at]
		} else {
			p[i] = e.repeat[(at-len(e.begin))%len(e.repeat)]
		}
	}
	e.read += len(p)
	return len(p), nil
}

// An input that does not end does not hold an import for ever: neither in one
// record, nor in many, nor between them.
func TestAnImportWithoutAnEndEnds(t *testing.T) {
	const record = 64 << 10
	for name, c := range map[string]struct {
		format        data.Format
		begin, repeat string
		limits        data.ImportLimits
		imported      int64
		line          string
		most          int // bytes that may be read
	}{
		"a CSV cell":           {data.CSV, "a\n1\n2\n\"", "x", data.ImportLimits{}, 2, "line or element 4;", 2 << 20},
		"lines in a CSV cell":  {data.CSV, "a\n1\n2\n\"", "x\n", data.ImportLimits{}, 2, "line or element 4;", 2 << 20},
		"a CSV line":           {data.CSV, "a\n1\n2\n", ",", data.ImportLimits{}, 2, "line or element 4;", 2 << 20},
		"a CSV header":         {data.CSV, "", "x", data.ImportLimits{}, 0, "line or element 1", 2 << 20},
		"CSV lines":            {data.CSV, "a\n", "1\n", data.ImportLimits{Records: 700}, 700, "line or element 702;", 2 << 20},
		"empty CSV lines":      {data.CSV, "a\n1\n", "\n", data.ImportLimits{Bytes: 1 << 20}, 1, "", 2 << 20},
		"a line":               {data.NDJSON, "{}\n{}\n", `{"a":1`, data.ImportLimits{}, 2, "line or element 3;", 2 << 20},
		"lines":                {data.NDJSON, "", "{}\n", data.ImportLimits{Records: 700}, 700, "line or element 701;", 2 << 20},
		"refused lines":        {data.NDJSON, "{}\n", "x\n", data.ImportLimits{Records: 700}, 1, "line or element 701;", 2 << 20},
		"empty lines":          {data.NDJSON, "{}\n", "\n", data.ImportLimits{Bytes: 1 << 20}, 1, "", 2 << 20},
		"an element":           {data.JSON, `[{},{},{"a":"`, "x", data.ImportLimits{}, 2, "line or element 3;", 2 << 20},
		"elements":             {data.JSON, `[{}`, ",{}", data.ImportLimits{Records: 700}, 700, "line or element 701;", 2 << 20},
		"space":                {data.JSON, `[{}`, " ", data.ImportLimits{Bytes: 1 << 20}, 1, "", 2 << 20},
		"bytes in the default": {data.NDJSON, "", "{}\n", data.ImportLimits{Bytes: 300}, 100, "line or element 101;", 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			service, err := data.New(data.Config{Documents: b.docs, MaxRecord: record, Import: c.limits})
			if err != nil {
				t.Fatal(err)
			}
			b.call("POST", "", `{"name":"films"}`)
			in := &endlessInput{begin: c.begin, repeat: c.repeat}
			result, err := service.Import(t.Context(), principal(acme), "films", in, data.ImportOptions{Format: c.format})
			var e *platform.Error
			if !errors.As(err, &e) || e.CodeOrKind() != "import_too_large" || e.Kind != platform.KindTooLarge ||
				!strings.Contains(e.Message+";", c.line) {
				t.Errorf("got %v, want one that tells of %q", err, c.line)
			}
			if n, err := service.Count(t.Context(), platform.System(acme, "test"), "films", nil); result.Imported != c.imported || n != c.imported || err != nil {
				t.Errorf("imported %d, there are %d, want %d; %v", result.Imported, n, c.imported, err)
			}
			if in.read > c.most {
				t.Errorf("%d bytes were read, want at most %d", in.read, c.most)
			}
		})
	}
}

// An import that comes a little at a time ends after an hour.
func TestAnImportHasATime(t *testing.T) {
	b := setup(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	service, err := data.New(data.Config{Documents: b.docs, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	b.call("POST", "", `{"name":"films"}`)
	in := &endlessInput{repeat: "{}\n", each: func() { now = now.Add(20 * time.Minute) }}
	result, err := service.Import(t.Context(), principal(acme), "films", in, data.ImportOptions{Format: data.NDJSON})
	if !errors.Is(err, &platform.Error{Kind: platform.KindTimeout, Code: "import_too_large"}) || result.Imported == 0 {
		t.Errorf("imported %d, %v", result.Imported, err)
	}
}

// An input that is as large as it may be is whole.
func TestAnImportAsLargeAsItMayBe(t *testing.T) {
	b := setup(t)
	const text = "{}\n{}\n{}\n"
	service, err := data.New(data.Config{Documents: b.docs, Import: data.ImportLimits{Bytes: int64(len(text)), Records: 3}})
	if err != nil {
		t.Fatal(err)
	}
	b.call("POST", "", `{"name":"films"}`)
	result, err := service.Import(t.Context(), principal(acme), "films", io.MultiReader(strings.NewReader(text)), data.ImportOptions{Format: data.NDJSON})
	if err != nil || result.Imported != 3 {
		t.Errorf("imported %d, %v", result.Imported, err)
	}
	if _, err := data.New(data.Config{Documents: b.docs, Import: data.ImportLimits{Bytes: -1}}); err == nil {
		t.Error("a negative limit was taken")
	}
}
