package integration

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// behindProxy has the server believe the addresses that a test gives its callers.
var behindProxy = []string{"--trusted-proxies", "127.0.0.0/8", "--sign-in-limit", "0", "--rate-limit", "0"}

// from is the caller of a sign-up or a sign-in who has that address.
type from struct {
	*client
	address string
}

func (s *server) from(address string) from { return from{s.client(""), address} }

func (f from) signUp(email string) {
	f.t.Helper()
	a := f.do("POST", "/v1/auth/signup", map[string]string{
		"email": email, "password": password, "name": "Ann", "organization": "Acme",
	}, "X-Forwarded-For", f.address)
	if a.status != http.StatusCreated {
		f.t.Fatalf("sign up %s: %d %s", email, a.status, a.body)
	}
}

// logIn returns the status of a sign-in.
func (f from) logIn(email, password string) int {
	f.t.Helper()
	return f.do("POST", "/v1/auth/login", map[string]string{"email": email, "password": password}, "X-Forwarded-For", f.address).status
}

// Guesses from many addresses do not keep the owner out, wherever they sign in
// from.
func TestStrangersDoNotKeepTheOwnerOut(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		s := start(t, at, behindProxy...)
		s.from("203.0.113.1").signUp("ann@example.com")
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				for i := range 12 {
					f := s.from(fmt.Sprintf("198.51.%d.%d", 100+w, 1+i))
					if got := f.logIn("ann@example.com", "wrong password"); got != http.StatusUnauthorized {
						t.Errorf("a guess: %d", got)
					}
				}
			})
		}
		for i := range 5 { // among them, and after them
			if got := s.from(fmt.Sprint("192.0.2.", 1+i)).logIn("ann@example.com", password); got != http.StatusOK {
				t.Errorf("the owner from a new device: %d", got)
			}
			if i == 2 {
				wg.Wait()
			}
		}
	})
}

// Everybody in an office signs in once and rightly: nobody is refused.
func TestOfficeSignsIn(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		s := start(t, at, behindProxy...)
		const people = 66
		for i := range people {
			s.from(fmt.Sprint("198.51.100.", 1+i)).signUp(fmt.Sprintf("p%d@example.com", i))
		}
		office := s.from("192.0.2.1")
		for i := range people {
			if got := office.logIn(fmt.Sprintf("p%d@example.com", i), password); got != http.StatusOK {
				t.Errorf("number %d: %d", i+1, got)
			}
		}
	})
}

// What anybody may ask for does not push out what sign-in knows, and neither
// does a restart: a known device signs in where a stranger of its network has
// to wait.
func TestKnownDevicesOutliveFloodsAndRestarts(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		s := start(t, at, behindProxy...)
		office := s.from("192.0.2.1")
		office.signUp("ann@example.com")
		s.from("203.0.113.1").signUp("ben@example.com")
		const keys = "/.well-known/jwks.json"
		for i := range 500 {
			office.do("GET", fmt.Sprint(keys, "?x=", i), nil, "Accept", fmt.Sprint("text/x", i))
		}
		if a := office.do("GET", keys+"?x=1", nil); a.status != http.StatusUnprocessableEntity || a.header.Get("Age") != "" {
			t.Errorf("a query that the route has not: %d, Age %q", a.status, a.header.Get("Age"))
		}
		office.do("GET", keys, nil)
		if a := office.do("GET", keys, nil); a.header.Get("Age") == "" {
			t.Error("the keys are not kept")
		}
		if s.stop() != 0 {
			t.Fatal("it does not stop")
		}
		s = start(t, at, behindProxy...)
		office = s.from("192.0.2.1")
		refused := false
		for i := 0; i < 60 && !refused; i++ {
			refused = office.logIn(fmt.Sprintf("q%d@example.com", i), "Summer2026!") == http.StatusTooManyRequests
		}
		if !refused {
			t.Fatal("spraying is not slowed down")
		}
		if got := office.logIn("ann@example.com", password); got != http.StatusOK {
			t.Errorf("the known device: %d", got)
		}
	})
}
