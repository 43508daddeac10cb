package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestRefusalsFillNoLog has a server refuse logins since it is busy with
// others, and reads what it logs of them.
func TestRefusalsFillNoLog(t *testing.T) {
	s := start(t, folder(t.TempDir()), "--access-log=false", "--sign-in-limit", "0")
	began := time.Now()
	refused, statuses := 0, map[int]int{}
	for range 3 { // then an address has made too many mistakes
		pulse := s.client("")
		answers := make(chan int, 256)
		for i := range cap(answers) {
			body := fmt.Sprintf(`{"email":"nobody-%d-%d@example.com","password":%q}`, refused, i, password)
			go func() {
				a, err := pulse.try(t.Context(), "POST", "/v1/auth/login", "application/json", strings.NewReader(body))
				if err != nil {
					a.status = 0
				}
				answers <- a.status
			}()
		}
		for range cap(answers) {
			status := <-answers
			if statuses[status]++; status == 503 {
				refused++
			}
		}
	}
	if refused < 25 {
		t.Skipf("only these were refused: %v", statuses)
	}
	seconds := int(time.Since(began)/time.Second) + 2
	warned := 0
	for _, line := range bytes.Split([]byte(s.logged()), []byte("\n")) {
		var l struct{ Level, Msg, Code string }
		if json.Unmarshal(line, &l) != nil {
			continue
		}
		if l.Level == "ERROR" {
			t.Errorf("an error for a refusal: %s", line)
		}
		if l.Msg == "request refused" {
			warned++
		}
	}
	if warned == 0 || warned > 10*seconds {
		t.Errorf("%d lines of %d refusals in %d seconds", warned, refused, seconds)
	}
}
