package integration

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// countStatuses runs do n times, from several callers at once.
func countStatuses(t *testing.T, n int, do func(i int) (answer, error)) map[int]int {
	t.Helper()
	const callers = 8
	var mu sync.Mutex
	var wg sync.WaitGroup
	got := map[int]int{}
	for c := range callers {
		wg.Go(func() {
			for i := c; i < n; i += callers {
				a, err := do(i)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				got[a.status]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return got
}

// TestBadCredentialsCostLittle floods a server with access tokens whose
// signature is wrong and with API keys that are none.
func TestBadCredentialsCostLittle(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		const limit, n = 100, 2000
		s := start(t, at, "--access-log=false", "--bad-credential-limit", strconv.Itoa(limit))
		ann := s.signUp("ann@example.com", "Ann's")
		ann.want(http.StatusOK, "GET", "/v1/me", nil, nil)
		forged := ann.token[:strings.LastIndexByte(ann.token, '.')+1]
		bad := s.client("")
		got := countStatuses(t, n, func(i int) (answer, error) {
			credential := forged + strings.Repeat("A", 80) + strconv.Itoa(100_000+i)
			if i%2 == 0 {
				credential = "pk_" + strconv.Itoa(i) + strings.Repeat("x", 40)
			}
			return bad.try(t.Context(), "GET", "/v1/me", "", nil, "Authorization", "Bearer "+credential)
		})
		// A caller each may be on the way when the limit is reached. Where the
		// flood takes longer than a minute, there is another minute's share.
		if got[401] < limit || got[401] > 2*limit+16 || got[401]+got[429] != n {
			t.Errorf("of %d bad credentials: %v", n, got)
		}
		// Whoever was signed in works on, from the same address.
		ann.want(http.StatusOK, "GET", "/v1/me", nil, nil)
		if a := s.client("").do("GET", "/v1/me", nil, "Authorization", "Bearer "+forged+strings.Repeat("B", 86)); a.status != http.StatusTooManyRequests || a.header.Get("Retry-After") == "" {
			t.Errorf("one more: %d %v", a.status, a.header)
		}
	})
}
