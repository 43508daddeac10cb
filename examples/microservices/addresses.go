package main

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/acme/platform/notify"
)

// parseSMTP reads smtps://user:password@host:465?from=address. The scheme says
// how the connection is protected, since that must not be left to chance.
func parseSMTP(raw string) (*notify.SMTP, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("must be a URL")
	}
	policy, ok := map[string]notify.TLSPolicy{
		"smtps": notify.TLSImplicit, "smtp+starttls": notify.TLSMandatory, "smtp+plain": notify.TLSNone,
	}[u.Scheme]
	port, err := strconv.Atoi(u.Port())
	if !ok || err != nil || u.Hostname() == "" || u.Query().Get("from") == "" {
		return nil, errors.New("must be smtps://, smtp+starttls:// or smtp+plain:// with host, port and the parameter from")
	}
	password, _ := u.User.Password()
	return &notify.SMTP{
		Host: u.Hostname(), Port: port, TLS: policy,
		Username: u.User.Username(), Password: password, From: u.Query().Get("from"),
	}, nil
}

func parseNetworks(list string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for s := range strings.SplitSeq(list, ",") {
		network, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, errors.New("must be networks such as 10.0.0.0/8, separated by commas")
		}
		networks = append(networks, network)
	}
	return networks, nil
}
