package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

var pathParameter = regexp.MustCompile(`\{[^}]+\}`)

// assertion sees that a service believes the gateway's signature and nothing
// else.
func (v *visit) assertion() {
	t, ann, bob := v.t, v.ann, v.bob
	var me struct{ ID, Organization string }
	ann.want(http.StatusOK, "GET", "/v1/me", nil, &me)
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	assert := func(key ed25519.PrivateKey, audience string, at time.Time, operation string) string {
		return sign(t, key, object{
			"iss": "gateway", "aud": audience, "op": operation, "sub": me.ID, "iat": at.Unix(), "exp": at.Add(8 * time.Second).Unix(),
			"tenant": me.Organization, "kind": "user", "credential": "ses_x", "roles": []string{"owner"}, "scopes": nil,
		})
	}
	now := time.Now()

	// The good one shows that the others are refused for what they are.
	direct := newClient(t, v.replicas[roleData][0].url)
	record := "/v1/data/collections/films/records/m"
	direct.want(http.StatusOK, "GET", record, nil, nil, "Platform-Assertion", assert(v.key, roleData, now, "data.records.get"))
	for name, header := range map[string][]string{
		"none":                  nil,
		"an access token":       {"Authorization", "Bearer " + ann.token},
		"another's signature":   {"Platform-Assertion", assert(stranger, roleData, now, "data.records.get")},
		"for another service":   {"Platform-Assertion", assert(v.key, roleUser, now, "data.records.get")},
		"for another operation": {"Platform-Assertion", assert(v.key, roleData, now, "data.collections.delete")},
		"an old one":            {"Platform-Assertion", assert(v.key, roleData, now.Add(-time.Hour), "data.records.get")},
		"no signature":          {"Platform-Assertion", unsigned(assert(v.key, roleData, now, "data.records.get"))},
		"an access token, too":  {"Platform-Assertion", ann.token},
	} {
		if a := direct.do("GET", record, nil, header...); a.status != http.StatusUnauthorized || a.code() != "bad_assertion" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}

	// What is good for reading is good for nothing else.
	if a := direct.do("DELETE", "/v1/data/collections/films", nil, "Platform-Assertion", assert(v.key, roleData, now, "data.records.get")); a.status != http.StatusUnauthorized {
		t.Errorf("an assertion for reading deletes a collection: %d %s", a.status, a.body)
	}

	// No operation of any service was forgotten.
	paths, _ := described(t, ann)
	asked := map[string]int{}
	for path, methods := range paths {
		for method, op := range methods {
			if len(op.Security) == 0 {
				continue
			}
			role := roleUser
			for _, service := range []string{roleData, roleAnalytics, roleNotify} {
				if strings.HasPrefix(path, "/v1/"+service+"/") {
					role = service
				}
			}
			if strings.HasPrefix(op.ID, "operator.rule") {
				role = roleNotify
			}
			asked[role]++
			for i, r := range v.replicas[role] {
				a := direct.at(r.url).do(strings.ToUpper(method), pathParameter.ReplaceAllString(path, "x"), nil)
				if a.status != http.StatusUnauthorized || a.code() != "bad_assertion" {
					t.Errorf("%s at replica %d of %s: %d %s", op.ID, i, role, a.status, a.body)
				}
			}
		}
	}
	for _, role := range services() {
		if asked[role] < 3 {
			t.Errorf("only %d operations of %s were tried", asked[role], role)
		}
	}

	// Through the gateway a caller is who the credential says.
	for _, header := range [][]string{
		{"Platform-Assertion", assert(v.key, roleData, now, "data.records.get")},
		{"Platform-Assertion", assert(stranger, roleData, now, "data.records.get")},
	} {
		if a := bob.do("GET", record, nil, header...); a.status != http.StatusNotFound {
			t.Errorf("with an assertion of one's own: %d %s", a.status, a.body)
		}
		if a := v.client(1).do("GET", record, nil, header...); a.status != http.StatusUnauthorized {
			t.Errorf("with an assertion and no credential: %d %s", a.status, a.body)
		}
	}
}

func sign(t *testing.T, key ed25519.PrivateKey, claims object) string {
	t.Helper()
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		t.Fatal("no public key")
	}
	sum := sha256.Sum256(public)
	options := (&jose.SignerOptions{}).WithHeader("kid", base64.RawURLEncoding.EncodeToString(sum[:12]))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// unsigned says the same as token with no algorithm.
func unsigned(token string) string {
	parts := strings.Split(token, ".")
	head, err := json.Marshal(map[string]string{"alg": "none"})
	if err != nil {
		return ""
	}
	return strings.Join([]string{base64.RawURLEncoding.EncodeToString(head), parts[1], ""}, ".")
}
