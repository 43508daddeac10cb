package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/acme/platform/internal/test/teststack"
)

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

var kills = flag.Int("kills", 0, "how often TestKill kills the server; 0 is 25 times over the embedded stores and 5 over others")

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "standalone-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "standalone")
	args := []string{"build", "-o", binary}
	if raced {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "../examples/standalone")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	// The clients' side: what a server leaves running dies with it.
	return teststack.Main(m)
}

// server is a running program.
type server struct {
	t         *testing.T
	url       string
	at        place
	cmd       *exec.Cmd
	listening chan struct{} // closed when it is ready
	done      chan struct{} // closed when the process has ended

	mu  sync.Mutex
	log bytes.Buffer
}

// start runs the program over the place and waits until it is ready.
func start(t *testing.T, at place, flags ...string) *server {
	t.Helper()
	s, err := launch(t, at, flags...)
	if err != nil {
		t.Fatalf("start: %v\n%s", err, s.logged())
	}
	return s
}

// launch is start that returns the failure. The server ends with the test.
func launch(t *testing.T, at place, flags ...string) (*server, error) {
	t.Helper()
	s, err := spawn(t, at, flags...)
	if err != nil {
		return s, err
	}
	select {
	case <-s.listening:
	case <-s.done:
		return s, errors.New("it ended: " + s.cmd.ProcessState.String())
	case <-time.After(patience):
		return s, errors.New("it does not listen")
	}
	a, err := s.client("").try(t.Context(), "GET", "/readyz", "", nil)
	if err == nil && a.status != http.StatusOK {
		err = fmt.Errorf("not ready: %d %s", a.status, a.body)
	}
	return s, err
}

// spawn begins the program and returns when it has an address, or has ended.
func spawn(t *testing.T, at place, flags ...string) (*server, error) {
	t.Helper()
	args := slices.Concat([]string{"serve", "--addr", "127.0.0.1:0", "--log-format", "json", "--public-url", "http://platform.test"}, at, flags)
	s := &server{t: t, at: at, cmd: exec.Command(binary, args...), listening: make(chan struct{}), done: make(chan struct{})}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return s, err
	}
	if err := s.cmd.Start(); err != nil {
		return s, err
	}
	starting := make(chan string, 1)
	go func() {
		defer close(s.done)
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			s.mu.Lock()
			s.log.Write(append(lines.Bytes(), '\n'))
			s.mu.Unlock()
			var line struct{ Msg, Addr string }
			if json.Unmarshal(lines.Bytes(), &line) != nil {
				continue
			}
			switch line.Msg {
			case "starting":
				starting <- line.Addr
			case "listening":
				close(s.listening)
			}
		}
		_ = s.cmd.Wait()
	}()
	t.Cleanup(s.kill)
	select {
	case addr := <-starting:
		s.url = "http://" + addr
	case <-s.done:
	case <-time.After(patience):
		return s, errors.New("it does not start")
	}
	return s, nil
}

// kill ends the process as a crash would, and waits for its end.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// stop ends the process with SIGTERM and returns its exit code.
func (s *server) stop() int {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Fatalf("it does not stop\n%s", s.logged())
	}
	return s.cmd.ProcessState.ExitCode()
}

func (s *server) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// client calls a server with one credential.
type client struct {
	t     *testing.T
	url   string
	token string
	http  *http.Client
}

func (s *server) client(token string) *client {
	tr := &http.Transport{MaxIdleConnsPerHost: 32}
	s.t.Cleanup(tr.CloseIdleConnections)
	return &client{t: s.t, url: s.url, token: token, http: &http.Client{Transport: tr}}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// into decodes the body.
func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(a.body, v); err != nil {
		t.Fatalf("decode %s: %v", a.body, err)
	}
}

// try sends a request and returns an error only where no answer came.
func (c *client) try(ctx context.Context, method, path, contentType string, body io.Reader, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, body)
	if err != nil {
		return answer{}, err
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return answer{status: resp.StatusCode, header: resp.Header, body: got}, err
}

// do sends a JSON body (nil is none) and fails the test where no answer came.
func (c *client) do(method, path string, body any, header ...string) answer {
	c.t.Helper()
	var r io.Reader
	contentType := ""
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		r, contentType = bytes.NewReader(raw), "application/json"
	}
	a, err := c.try(c.t.Context(), method, path, contentType, r, header...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// want sends a JSON body, checks the status and decodes the answer into v.
func (c *client) want(status int, method, path string, body, v any) answer {
	c.t.Helper()
	a := c.do(method, path, body)
	if a.status != status {
		c.t.Fatalf("%s %s: got %d %s, want %d", method, path, a.status, a.body, status)
	}
	if v != nil {
		a.into(c.t, v)
	}
	return a
}

// stream is a live stream of the caller's inbox.
type stream struct {
	t      *testing.T
	events chan inboxEvent // closed when it has ended
}

type inboxEvent struct {
	Unread int
	Latest string
}

// follow opens a live stream of the inbox, which ends with the test.
func (c *client) follow() *stream {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.url+"/v1/notify/inbox/stream", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("follow the inbox: %s", resp.Status)
	}
	s := &stream{t: c.t, events: make(chan inboxEvent)}
	c.t.Cleanup(func() {
		for range s.events { // the context of the test has ended, and so does it
		}
	})
	go func() {
		defer close(s.events)
		defer resp.Body.Close()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			var e inboxEvent
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && json.Unmarshal([]byte(data), &e) == nil {
				s.events <- e
			}
		}
	}()
	return s
}

// next waits for an event.
func (s *stream) next() inboxEvent {
	s.t.Helper()
	select {
	case e, ok := <-s.events:
		if !ok {
			s.t.Fatal("the stream has ended")
		}
		return e
	case <-time.After(patience):
		s.t.Fatal("the stream says nothing")
	}
	return inboxEvent{}
}

// ended waits for the end and reports whether nothing came before it.
func (s *stream) ended() bool {
	select {
	case _, more := <-s.events:
		return !more
	case <-time.After(patience):
		return false
	}
}

type tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
}

// signUp makes an organization and returns a client of its owner.
func (s *server) signUp(email, organization string) *client {
	s.t.Helper()
	var out struct{ Tokens tokens }
	c := s.client("")
	c.want(http.StatusCreated, "POST", "/v1/auth/signup", map[string]string{
		"email": email, "password": password, "name": "Owner", "organization": organization,
	}, &out)
	if out.Tokens.AccessToken == "" {
		s.t.Fatal("a sign-up must answer tokens")
	}
	c.token = out.Tokens.AccessToken
	return c
}

const password = "correct horse battery staple"

// logIn returns a client with a new session.
func (s *server) logIn(email string) *client {
	s.t.Helper()
	var out tokens
	c := s.client("")
	c.want(http.StatusOK, "POST", "/v1/auth/login", map[string]string{"email": email, "password": password}, &out)
	c.token = out.AccessToken
	return c
}

// eventually polls until f is true. What it waits for happens in another
// process, so there is nothing to be woken by.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come true", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
