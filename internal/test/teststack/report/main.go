// Command report sums up what tests noted in the file that PLATFORM_TEST_REPORT
// named: the images of the servers, and what was left out, and why.
//
//	go run ./internal/test/teststack/report <FILE
package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
)

func main() {
	if err := summarize(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
	}
}

// skips are those for want of one thing.
type skips struct {
	tests   map[string]bool
	reasons map[string]int
}

// summarize reads lines of fields that tabs separate: an image's kind, name and
// flavour, a skip's want, test and reason, or a figure's test and text.
func summarize(r io.Reader, w io.Writer) error {
	images := map[string]bool{}
	left := map[string]*skips{}
	var figures []string
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.SplitN(lines.Text(), "\t", 4)
		if len(fields) != 4 {
			continue
		}
		switch fields[0] {
		case "image":
			name := fields[1] + ": " + fields[2]
			if fields[3] != "" && fields[3] != "apache" {
				name += ", with " + fields[3] + " in the place of the real one"
			}
			images[name] = true
		case "figure":
			figures = append(figures, fields[1]+": "+fields[2])
		case "skipped":
			s := left[fields[1]]
			if s == nil {
				s = &skips{map[string]bool{}, map[string]int{}}
				left[fields[1]] = s
			}
			s.tests[fields[2]] = true
			s.reasons[fields[3]]++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(images)) {
		fmt.Fprintln(w, "image of", name)
	}
	for _, f := range figures {
		fmt.Fprintln(w, f)
	}
	if len(left) == 0 {
		fmt.Fprintln(w, "left out: nothing")
	}
	for _, want := range slices.Sorted(maps.Keys(left)) {
		s := left[want]
		fmt.Fprintf(w, "left out for want of %s: %d tests\n", want, len(s.tests))
		for _, reason := range slices.Sorted(maps.Keys(s.reasons)) {
			fmt.Fprintf(w, "  %d: %s\n", s.reasons[reason], shorten(reason))
		}
	}
	return lines.Err()
}

// shorten keeps a reason to a line of a screen or two.
func shorten(reason string) string {
	const most = 160
	if len(reason) <= most {
		return reason
	}
	return strings.ToValidUTF8(reason[:most], "") + "…"
}
