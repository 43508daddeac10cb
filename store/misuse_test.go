package store_test

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Crossing tenants by mistake does not compile: each line of testdata/misuse
// with a comment ERROR is refused for the reason that the comment gives, and no
// other line is.
func TestMisuseDoesNotCompile(t *testing.T) {
	const file = "testdata/misuse/misuse.go"
	want := map[int]*regexp.Regexp{}
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	comment := regexp.MustCompile(`// ERROR "(.*)"$`)
	for i, line := range strings.Split(string(source), "\n") {
		if m := comment.FindStringSubmatch(line); m != nil {
			want[i+1] = regexp.MustCompile(m[1])
		}
	}
	if len(want) == 0 {
		t.Fatal("no comment ERROR was found")
	}

	// -e: all errors, not the first ten.
	out, err := exec.Command("go", "build", "-gcflags=-e", "-o", os.DevNull, "./testdata/misuse").CombinedOutput()
	var failed *exec.ExitError
	if !errors.As(err, &failed) {
		t.Fatalf("it compiles, or the compiler does not run: %v\n%s", err, out)
	}
	message := regexp.MustCompile(`misuse\.go:(\d+):\d+: (.*)`)
	found := 0
	for _, m := range message.FindAllStringSubmatch(string(out), -1) {
		line, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		switch expected := want[line]; {
		case expected == nil:
			t.Errorf("line %d does not compile: %s", line, m[2])
		case !expected.MatchString(m[2]):
			t.Errorf("line %d is refused for another reason: %s", line, m[2])
		default:
			found++
		}
		delete(want, line)
	}
	for line := range want {
		t.Errorf("line %d compiles", line)
	}
	if found == 0 {
		t.Errorf("the compiler said:\n%s", out)
	}
}
