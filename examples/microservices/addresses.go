package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/acme/platform/notify"
	"github.com/acme/platform/store/kafka"
)

// parseKafka reads kafkas://host:9093,host2:9093/topic?replication=3. The topic
// is "platform" where none is named. Errors show nothing of what was given.
func parseKafka(raw string) (kafka.Config, error) {
	scheme, rest, _ := strings.Cut(raw, "://")
	rest, query, _ := strings.Cut(rest, "?")
	hosts, topic, _ := strings.Cut(rest, "/")
	params, err := url.ParseQuery(query)
	if err != nil || hosts == "" || strings.Contains(hosts, "@") {
		return kafka.Config{}, errors.New("must be kafkas://host:port,host:port/topic")
	}
	cfg := kafka.Config{Brokers: strings.Split(hosts, ","), Topic: cmp.Or(topic, "platform")}
	switch scheme {
	case "kafka":
		cfg.Plaintext = true
	case "kafkas":
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	default:
		return kafka.Config{}, errors.New("must begin with kafkas:// or kafka://")
	}
	if n := params.Get("replication"); n != "" {
		if cfg.Replication, err = strconv.Atoi(n); err != nil || cfg.Replication < 1 {
			return kafka.Config{}, errors.New("replication must be a positive number")
		}
	}
	return cfg, nil
}

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
