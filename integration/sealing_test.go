package integration

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// TestSealingJourney changes, over restarts, the keys that secrets are sealed under
// and the algorithm of the tokens: those who are signed in stay so, and no secret
// stands in the store.
func TestSealingJourney(t *testing.T) {
	onRelational(t, func(t *testing.T, _ setup, at place) {
		keys := filepath.Join(t.TempDir(), "sealing.keys")
		at = withKeysFile(at, keys)
		s := start(t, at)
		ann := s.signUp("ann@example.com", "Acme")
		var made struct{ ID, Secret string }
		ann.want(201, "POST", "/v1/notify/endpoints", map[string]any{"url": "https://hooks.example.com/in", "types": []string{"data.*"}}, &made)
		if !strings.Contains(s.logged(), "made a keyset") || strings.Contains(s.logged(), made.Secret) {
			t.Errorf("the log says %s", s.logged())
		}
		if code := s.stop(); code != 0 {
			t.Fatalf("code %d", code)
		}
		out, err := exec.CommandContext(t.Context(), binary, append([]string{"sealing", "rotate"}, at...)...).Output()
		if err != nil || strings.Count(string(out), "opens") != 2 {
			t.Fatalf("rotate: %v, %s", err, out)
		}
		s = start(t, at, "--signing-algorithm", "RS256")
		ann = s.client(ann.token)
		ann.want(200, "GET", "/v1/me", nil, nil)
		s.logIn("ann@example.com").want(200, "GET", "/v1/me", nil, nil)
		var set jose.JSONWebKeySet
		ann.want(200, "GET", "/.well-known/jwks.json", nil, &set)
		if len(set.Keys) != 2 || set.Keys[0].Algorithm != "EdDSA" || set.Keys[1].Algorithm != "RS256" {
			t.Errorf("published: %+v", set.Keys)
		}
		ann.want(204, "DELETE", "/v1/notify/endpoints/"+made.ID, nil, nil)
		if code := s.stop(); code != 0 {
			t.Fatalf("code %d", code)
		}
		// Another keyset: the server does not start, and says why.
		other := withKeysFile(at, filepath.Join(t.TempDir(), "other.keys"))
		if s, err := launch(t, other); err == nil {
			t.Error("it starts with another keyset")
			s.stop()
		} else if !strings.Contains(s.logged(), "is this the keyset that it was sealed under?") {
			t.Errorf("it says %s", s.logged())
		}
	})
}

// withKeysFile is the place with a file for its keyset.
func withKeysFile(at place, file string) place {
	var out place
	for i := 0; i < len(at); i += 2 {
		if at[i] != "--sealing-keys" && at[i] != "--sealing-keys-file" {
			out = append(out, at[i], at[i+1])
		}
	}
	return append(out, "--sealing-keys-file", file)
}
