package notify_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/acme/platform/notify"
)

func TestPublic(t *testing.T) {
	for _, a := range []string{
		"1.1.1.1", "93.184.216.34", "172.15.255.255", "172.32.0.1", "100.63.255.255", "100.128.0.1", "223.255.255.255",
		"2606:4700::1111", "2a00:1450:4001:81b::200e", "::ffff:1.1.1.1",
	} {
		if !notify.Public(netip.MustParseAddr(a)) {
			t.Errorf("%s is refused", a)
		}
	}
	for _, a := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1", "169.254.169.254",
		"172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255",
		"198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "168.63.129.16",
		"::", "::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1",
		"100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
		"2606:4700::1111%eth0",
	} {
		if notify.Public(netip.MustParseAddr(a)) {
			t.Errorf("%s is allowed", a)
		}
	}
	if notify.Public(netip.Addr{}) {
		t.Error("the zero address is allowed")
	}
}

// The guard looks at what is dialled, whatever the name says.
func TestDialGuard(t *testing.T) {
	reached := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer srv.Close()
	port := srv.URL[strings.LastIndexByte(srv.URL, ':'):]
	client := notify.Client(false)
	defer client.CloseIdleConnections()
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "0x7f000001", "127.1"} {
		res, err := client.Get("http://" + host + port)
		if err == nil {
			_ = res.Body.Close()
			t.Errorf("%s was reached", host)
		}
		if host == "127.0.0.1" && !errors.Is(err, notify.ErrPrivateAddress) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if reached {
		t.Error("the receiver got a request")
	}
}

func TestEndpointURLs(t *testing.T) {
	w := start(t, func(c *notify.Config) { c.AllowPrivateNetworks = false })
	for url, status := range map[string]int{
		"https://hooks.example.com/x?y=1":    201,
		"https://93.184.216.34/":             201,
		"http://hooks.example.com/":          422,
		"ftp://hooks.example.com/":           422,
		"https://user:pw@hooks.example.com/": 422,
		"https://hooks.example.com/#x":       422,
		"https://127.0.0.1/":                 422,
		"https://[::1]/":                     422,
		"https://[::ffff:10.0.0.1]/":         422,
		"https://169.254.169.254/latest":     422,
		"https://localhost/":                 422,
		"https://LOCALHOST./":                422,
		"https://a.localhost:8443/":          422,
		"https:///x":                         422,
		"hooks.example.com":                  422,
		"":                                   422,
		"https://hooks.example.com/" + strings.Repeat("x", 2048): 422,
	} {
		got, out := w.call(acme, "ann", "POST", "/v1/notify/endpoints", map[string]any{"url": url, "types": []string{"*"}})
		if got != status {
			t.Errorf("%.60s: got %d %v", url, got, out)
		}
	}
}
