package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/acme/platform"
	"github.com/acme/platform/store/queue"
)

const (
	// webhookTimeout bounds one attempt from dialling to the answer's head;
	// Standard Webhooks asks for 15 to 30 seconds.
	webhookTimeout = 15 * time.Second
	// maxEnvelope is the largest body that is sent. Receivers of Standard
	// Webhooks may refuse more than 20 kB; events of the platform are far
	// smaller.
	maxEnvelope = 256 << 10
)

// envelope is a CloudEvent in the structured JSON form
// (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md).
type envelope struct {
	SpecVersion     string            `json:"specversion"`
	ID              string            `json:"id"`
	Source          string            `json:"source"`
	Type            string            `json:"type"`
	Subject         string            `json:"subject,omitempty"`
	Time            time.Time         `json:"time"`
	Tenant          platform.TenantID `json:"tenantid"`
	Actor           string            `json:"actor,omitempty"`
	OnBehalfOf      string            `json:"onbehalfof,omitempty"`
	TraceParent     string            `json:"traceparent,omitempty"`
	DataContentType string            `json:"datacontenttype,omitempty"`
	Data            json.RawMessage   `json:"data,omitempty"`
}

// eventEnvelope is an event of the platform as endpoints get it.
func eventEnvelope(e platform.Event) string {
	v := envelope{
		SpecVersion: "1.0", ID: e.ID, Source: e.Source, Type: e.Type, Subject: e.Subject, Time: e.Time.UTC(),
		Tenant: e.Tenant, Actor: e.Actor, OnBehalfOf: e.OnBehalfOf, TraceParent: e.TraceParent, Data: e.Data,
	}
	if len(e.Data) > 0 {
		v.DataContentType = "application/json"
	}
	return marshal(v)
}

// messageEnvelope is a message of the webhook channel.
func messageEnvelope(tenant platform.TenantID, m *messageRow) string {
	return marshal(envelope{
		SpecVersion: "1.0", ID: m.id, Source: "/notify", Type: MessageEventType, Subject: m.id, Time: micros(m.createdAt),
		Tenant: tenant, Actor: m.actor, DataContentType: "application/json",
		Data: json.RawMessage(marshal(struct {
			ID    string `json:"id"`
			Title string `json:"title"`
			Body  string `json:"body"`
			Rule  string `json:"rule,omitempty"`
			Event string `json:"event,omitempty"`
		}{m.id, m.text.title, m.text.body, m.rule, m.event})),
	})
}

func marshal(v any) string {
	raw, err := json.Marshal(v)
	if err != nil { // texts and data that the store has checked always marshal
		panic(err)
	}
	return string(raw)
}

// runWebhook is the job of one delivery to an endpoint.
func (s *Service) runWebhook(ctx context.Context, job queue.Job) error {
	return s.run(ctx, job, s.post)
}

// post sends a webhook once.
func (s *Service) post(ctx context.Context, _ platform.TenantID, p *pending) outcome {
	switch {
	case !p.endpoint.found:
		return outcome{permanent: true, reason: "endpoint_deleted", skipped: true}
	case p.endpoint.disabled:
		return outcome{permanent: true, reason: "endpoint_disabled", skipped: true}
	case len(p.body) > maxEnvelope:
		return outcome{permanent: true, reason: "body_too_large", skipped: true}
	}
	now := s.cfg.Now().Unix()
	signature, err := signatures(p.endpoint.secrets, p.ID, now, []byte(p.body))
	if err != nil {
		return outcome{permanent: true, reason: "no_secret"}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.endpoint.url, strings.NewReader(p.body))
	if err != nil {
		return outcome{permanent: true, reason: "invalid_url"}
	}
	req.Header.Set("Content-Type", "application/cloudevents+json")
	req.Header.Set("User-Agent", "platform-notify")
	req.Header.Set("Webhook-Id", p.ID)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now, 10))
	req.Header.Set("Webhook-Signature", signature)
	res, err := s.client.Do(req)
	if err != nil {
		return unreachable(err)
	}
	defer func() { _ = res.Body.Close() }() // what was read is enough
	head, _ := io.ReadAll(io.LimitReader(res.Body, maxResponse))
	return s.answer(res, printable(head))
}

// answer reads the verdict of a receiver.
func (s *Service) answer(res *http.Response, response string) outcome {
	out := outcome{code: res.StatusCode, response: response, reason: "http_status"}
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
		out.delivered = true
	case res.StatusCode == http.StatusGone:
		out.permanent, out.gone, out.reason = true, true, "gone"
	case res.StatusCode >= 300 && res.StatusCode < 400:
		out.reason = "redirect"
	case res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusServiceUnavailable:
		out.pause = retryAfter(res.Header.Get("Retry-After"), s.cfg.Now())
	}
	return out
}

// unreachable reads why there was no answer.
func unreachable(err error) outcome {
	var (
		dns  *net.DNSError
		wait net.Error
	)
	switch {
	case errors.Is(err, errPrivateAddress):
		return outcome{permanent: true, reason: "blocked_address"}
	case errors.As(err, &wait) && wait.Timeout():
		return outcome{reason: "timeout"}
	case errors.As(err, &dns):
		return outcome{reason: "dns"}
	case strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "x509: "):
		return outcome{reason: "tls"}
	}
	return outcome{reason: "network"}
}

// retryAfter reads the header of that name (RFC 9110, section 10.2.3): seconds
// or a date. What cannot be read, or is past, is nothing.
func retryAfter(v string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(v); err == nil && seconds > 0 {
		return time.Duration(min(seconds, int(maxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// printable makes text that can be stored and shown of any bytes.
func printable(b []byte) string {
	return string(bytes.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, bytes.ToValidUTF8(b, nil)))
}

// checkURL reports what is wrong with the address of an endpoint. Names are
// judged when they are dialled; an address in the URL is judged here, too, so
// that its owner hears it at once.
func checkURL(raw string, allowPrivate bool) (string, bool) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || len(raw) > 2048:
		return "must be a URL of at most 2,048 bytes", false
	case u.Scheme != "https" && (u.Scheme != "http" || !allowPrivate):
		return "must begin with https://", false
	case u.User != nil || u.Fragment != "":
		return "must have no user, password or fragment", false
	}
	if allowPrivate {
		return "", true
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if ip := net.ParseIP(host); ip != nil {
		if a, ok := addrOf(ip); !ok || !public(a) {
			return "must be a public address", false
		}
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return "must be a public address", false
	}
	return "", true
}
