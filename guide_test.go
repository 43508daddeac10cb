package platform_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// The code of the README, the guide and docs/accounts.md is code that is compiled: each block stands in one of
// the files it is said to be from.
func TestGuide(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	guide, err := os.ReadFile("docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := os.ReadFile("docs/accounts.md")
	if err != nil {
		t.Fatal(err)
	}
	guide = append(guide, accounts...)
	var sources []string
	for _, name := range []string{
		"example_test.go", "store/storetest/driver_test.go", "standard/example_test.go", "standard/example_accounts_test.go", "store/consumer/example_test.go",
		"examples/embed/greetings.go", "examples/embed/hosts.go", "examples/embed/accounts.go",
	} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, string(b))
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(readme)+string(guide), -1)
	if len(blocks) == 0 {
		t.Fatal("no code was found")
	}
	for _, m := range blocks {
		found := false
		for _, s := range sources {
			found = found || strings.Contains(s, m[1])
		}
		if !found {
			t.Errorf("this code is in no file:\n%s", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`\]\(\.\./([^)]+)\)`).FindAllStringSubmatch(string(guide), -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("a link leads nowhere: %v", err)
		}
	}
}
