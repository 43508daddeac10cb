package user

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// PwnedPasswords asks a server that speaks the range API of "Have I Been Pwned"
// (https://haveibeenpwned.com/API/v3#PwnedPasswords) or a mirror of it. Its Range
// is for [Breaches]. The zero value asks the public server.
type PwnedPasswords struct {
	// URL is what the prefix is put behind; empty is
	// "https://api.pwnedpasswords.com/range/".
	URL string
	// Client sends the requests; nil is one without settings.
	Client *http.Client
	// Timeout bounds one answer; zero is 2 s.
	Timeout time.Duration
}

const (
	pwnedURL = "https://api.pwnedpasswords.com/range/" //nolint:gosec // it is no credential
	// maxPwnedAnswer bounds an answer: a real one has some 1,000 lines of 40 bytes.
	maxPwnedAnswer = 512 << 10
	suffixDigits   = 40 - breachPrefix
)

// Range returns the entries of a prefix. An answer that is not whole, too long or
// not of the form is an error. Errors do not repeat the prefix.
func (p PwnedPasswords) Range(ctx context.Context, prefix string) ([]Breached, error) {
	timeout, base, client := p.Timeout, p.URL, p.Client
	if timeout <= 0 {
		timeout = 2 * time.Second
	}
	if base == "" {
		base = pwnedURL
	}
	if client == nil {
		client = &http.Client{}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+url.PathEscape(prefix), nil)
	if err != nil {
		return nil, errors.New("user: breached passwords: PwnedPasswords.URL is no URL")
	}
	req.Header.Set("Add-Padding", "true") // the size of an answer tells nothing of the prefix
	req.Header.Set("User-Agent", "acme-platform")
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // the URL ends with the prefix
		}
		return nil, fmt.Errorf("user: breached passwords: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("user: breached passwords: the server answers %d", resp.StatusCode)
	}
	return readPwned(resp.Body)
}

// readPwned reads lines "SUFFIX:COUNT".
func readPwned(body io.Reader) ([]Breached, error) {
	limited := &io.LimitedReader{R: body, N: maxPwnedAnswer + 1}
	var found []Breached
	lines := bufio.NewScanner(limited)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		suffix, count, _ := strings.Cut(line, ":")
		n, err := strconv.ParseInt(count, 10, 64)
		if _, bad := hex.DecodeString("0" + suffix); bad != nil || err != nil || len(suffix) != suffixDigits {
			return nil, errors.New("user: breached passwords: the server answers something else than a range")
		}
		found = append(found, Breached{Suffix: suffix, Count: n})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("user: breached passwords: %w", err)
	}
	if limited.N <= 0 {
		return nil, errors.New("user: breached passwords: the answer is too long")
	}
	return found, nil
}
