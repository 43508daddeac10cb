package main

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

	"github.com/acme/platform/store/kafka"
)

// kafkaConfig reads
//
//	kafkas://user:password@host:9093,host2:9093/topic?sasl=scram-sha-512
//
// kafkas:// is with TLS and kafka:// without. The topic is "platform" where
// none is named. The parameters: sasl is plain (with TLS only), scram-sha-256 or
// scram-sha-512, and must be there where a user is; ca, cert and key are PEM
// files; replication, min_in_sync and partitions are those of a new topic.
func kafkaConfig(raw string) (kafka.Config, error) {
	u, err := parseServerURL(raw)
	if err != nil {
		return kafka.Config{}, err
	}
	for name, values := range u.query {
		if !slices.Contains([]string{"sasl", "ca", "cert", "key", "replication", "min_in_sync", "partitions"}, name) || len(values) != 1 {
			return kafka.Config{}, errors.New("the URL has an unknown or repeated parameter; there are sasl, ca, cert, key, replication, min_in_sync and partitions")
		}
	}
	cfg := kafka.Config{Brokers: u.hosts, Topic: cmp.Or(u.path, "platform"), Plaintext: u.scheme == "kafka"}
	for _, n := range []struct {
		name string
		to   *int
	}{{"replication", &cfg.Replication}, {"min_in_sync", &cfg.MinInSync}, {"partitions", &cfg.Partitions}} {
		if !u.query.Has(n.name) {
			continue
		}
		if *n.to, err = strconv.Atoi(u.query.Get(n.name)); err != nil || *n.to < 1 {
			return kafka.Config{}, fmt.Errorf("%s must be a positive number", n.name)
		}
	}
	if !cfg.Plaintext {
		if cfg.TLS, err = kafkaTLS(u); err != nil {
			return kafka.Config{}, err
		}
	} else if u.query.Has("ca") || u.query.Has("cert") || u.query.Has("key") {
		return kafka.Config{}, errors.New("ca, cert and key need kafkas://")
	}
	cfg.SASL, err = kafkaSASL(u)
	return cfg, err
}

func kafkaTLS(u serverURL) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if file := u.query.Get("ca"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("ca: the file holds no certificate in PEM")
		}
	}
	cert, key := u.query.Get("cert"), u.query.Get("key")
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

func kafkaSASL(u serverURL) (sasl.Mechanism, error) {
	name := u.query.Get("sasl")
	if (u.user == "") != (name == "") {
		return nil, errors.New("a user and the parameter sasl must both be there or neither")
	}
	switch name {
	case "":
		return nil, nil //nolint:nilnil // nil is a value of kafka.Config.SASL
	case "plain":
		if u.scheme != "kafkas" {
			return nil, errors.New("sasl=plain needs kafkas://, or the password would travel in the clear")
		}
		return plain.Mechanism{Username: u.user, Password: u.password}, nil
	case "scram-sha-256":
		return scram.Mechanism(scram.SHA256, u.user, u.password)
	case "scram-sha-512":
		return scram.Mechanism(scram.SHA512, u.user, u.password)
	}
	return nil, errors.New("sasl must be plain, scram-sha-256 or scram-sha-512")
}
