package platform_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// checksNeeded are the numbers of the checks that docs/checks.md must have.
func checksNeeded() (all []int) {
	for n := 1; n <= 27; n++ {
		all = append(all, n)
	}
	return append(all, 32, 33, 34, 35, 39, 40)
}

// Each row of docs/checks.md names tests that are there.
func TestChecksNameTheirTests(t *testing.T) {
	raw, err := os.ReadFile("docs/checks.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`^\| (\d+) \|`)
	name := regexp.MustCompile("`([a-z/]+)\\.(Test\\w+)`")
	found := make(map[int]int)
	for line := range strings.Lines(string(raw)) {
		m := row.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		n, _ := strconv.Atoi(m[1]) // the pattern has digits only
		for _, test := range name.FindAllStringSubmatch(line, -1) {
			found[n]++
			if !hasTest(t, test[1], test[2]) {
				t.Errorf("check %d: there is no test %s in %s", n, test[2], test[1])
			}
		}
	}
	for _, n := range checksNeeded() {
		if found[n] == 0 {
			t.Errorf("check %d names no test", n)
		}
	}
}

// hasTest reports whether a folder has a test of that name; "platform" is the root.
func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	if folder == "platform" {
		folder = "."
	}
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}
