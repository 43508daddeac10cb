package kafka

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"

	"github.com/acme/platform/internal/serverurl"
)

// ParseURL reads
//
//	kafkas://user:password@host:9093,host2:9093/topic?sasl=scram-sha-512
//
// kafkas:// is with TLS and kafka:// without. The topic is "platform" where
// none is named. The parameters: sasl is plain (with TLS only), scram-sha-256 or
// scram-sha-512, and must be there where a user is; ca, cert and key are PEM
// files, which are read now; replication, min_in_sync and partitions are those
// of a new topic. No error shows the URL.
func ParseURL(url string) (Config, error) {
	u, err := serverurl.Parse(url)
	if err != nil {
		return Config{}, err
	}
	if u.Scheme != "kafka" && u.Scheme != "kafkas" {
		return Config{}, errors.New("the URL must begin with kafkas:// or kafka://")
	}
	for name, values := range u.Query {
		if !slices.Contains([]string{"sasl", "ca", "cert", "key", "replication", "min_in_sync", "partitions"}, name) || len(values) != 1 {
			return Config{}, errors.New("the URL has an unknown or repeated parameter; there are sasl, ca, cert, key, replication, min_in_sync and partitions")
		}
	}
	cfg := Config{Brokers: u.Hosts, Topic: cmp.Or(u.Path, "platform"), Plaintext: u.Scheme == "kafka"}
	for _, n := range []struct {
		name string
		to   *int
	}{{"replication", &cfg.Replication}, {"min_in_sync", &cfg.MinInSync}, {"partitions", &cfg.Partitions}} {
		if !u.Query.Has(n.name) {
			continue
		}
		if *n.to, err = strconv.Atoi(u.Query.Get(n.name)); err != nil || *n.to < 1 {
			return Config{}, fmt.Errorf("%s must be a positive number", n.name)
		}
	}
	if !cfg.Plaintext {
		if cfg.TLS, err = urlTLS(u); err != nil {
			return Config{}, err
		}
	} else if u.Query.Has("ca") || u.Query.Has("cert") || u.Query.Has("key") {
		return Config{}, errors.New("ca, cert and key need kafkas://")
	}
	if cfg.SASL, err = urlSASL(u); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

func urlTLS(u serverurl.URL) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if file := u.Query.Get("ca"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("ca: the file holds no certificate in PEM")
		}
	}
	cert, key := u.Query.Get("cert"), u.Query.Get("key")
	if cert == "" && key == "" {
		return cfg, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("cert and key: %w", err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	return cfg, nil
}

func urlSASL(u serverurl.URL) (sasl.Mechanism, error) {
	name := u.Query.Get("sasl")
	if (u.User == "") != (name == "") {
		return nil, errors.New("a user and the parameter sasl must both be there or neither")
	}
	switch name {
	case "":
		return nil, nil //nolint:nilnil // nil is a value of Config.SASL
	case "plain":
		if u.Scheme != "kafkas" {
			return nil, errors.New("sasl=plain needs kafkas://, or the password would travel in the clear")
		}
		return plain.Mechanism{Username: u.User, Password: u.Password}, nil
	case "scram-sha-256":
		return scram.Mechanism(scram.SHA256, u.User, u.Password)
	case "scram-sha-512":
		return scram.Mechanism(scram.SHA512, u.User, u.Password)
	}
	return nil, errors.New("sasl must be plain, scram-sha-256 or scram-sha-512")
}
