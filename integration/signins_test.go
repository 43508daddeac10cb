package integration

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
)

// guessers is how many wrong sign-ins TestSignInsBesideReads has under way at a time.
const guessers = 4

// TestSignInsBesideReads prints how long the requests of a tenant take beside wrong
// sign-ins, four at a time, each of which is hashed: every one is of an account, an
// address and a password of its own. Like TestNeighbours it checks no figure.
func TestSignInsBesideReads(t *testing.T) {
	if *neighbours == 0 {
		t.Skip("-neighbours is 0")
	}
	for _, s := range setups {
		if s.name != embedded && s.name != "postgres" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			server := start(t, s.place(t), behindProxy...)
			p := &pair{t: t, b: server.signUp("b@example.com", "Neighbour")}
			p.fillFew()
			var guessed atomic.Int64
			p.measure(t, "sign-ins", func(asked *answers) (stop func()) {
				done := make(chan struct{})
				var wg sync.WaitGroup
				for range guessers {
					wg.Go(func() {
						for {
							select {
							case <-done:
								return
							default:
							}
							n := guessed.Add(1)
							f := server.from(fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255))
							switch got := f.logIn(fmt.Sprintf("p@host%d.example", n), fmt.Sprint("wrong password ", n)); got {
							case http.StatusUnauthorized, http.StatusServiceUnavailable:
								asked.ok.Add(1)
							case http.StatusTooManyRequests:
								asked.limited.Add(1)
							default:
								t.Errorf("a guess: %d", got)
							}
						}
					})
				}
				return func() { close(done); wg.Wait() }
			})
		})
	}
}
