package standard

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/acme/platform/user"
	"github.com/acme/platform/user/passkey"
)

// passkeysAt are passkeys for the host and the origin of PublicURL. A host whose
// pages have another origin sets Users.Passkeys itself. Passkeys need a domain or
// "localhost": there are none under an address or a name without a dot.
func passkeysAt(publicURL string) (user.PasskeyEngine, error) {
	u, err := url.Parse(publicURL)
	if err != nil {
		return nil, err
	}
	host := u.Hostname()
	if _, err := netip.ParseAddr(host); err == nil || host != "localhost" && !strings.Contains(host, ".") {
		return nil, nil
	}
	return passkey.New(passkey.Config{ID: host, Origins: []string{u.Scheme + "://" + u.Host}, Name: host})
}
