package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform/internal/test/testseal"
	"github.com/acme/platform/internal/test/teststack"
)

// patience is how long a test waits for what must come: a consumer that was
// killed keeps its part of the stream for ten seconds, a relay for fifteen.
const patience = 90 * time.Second

// stack is the whole: two replicas of each process over the four stores.
type stack struct {
	whole   *testing.T // with which the processes end
	t       *testing.T // the step at present
	program string
	key     ed25519.PrivateKey
	env     []string
	mail    *mailbox

	replicas map[string][]*replica
}

// newStack starts everything. The test is skipped where a store cannot be had.
func newStack(t *testing.T) *stack {
	t.Helper()
	postgres, redis, mongo, kafka := teststack.Postgres(t), teststack.Redis(t), teststack.Mongo(t), teststack.Kafka(t)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &stack{
		whole: t, t: t, program: filepath.Join(t.TempDir(), "microservices"), key: private, mail: receiveMail(t),
		replicas: make(map[string][]*replica),
	}
	if out, err := exec.Command("go", "build", "-o", s.program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	s.env = []string{
		"PLATFORM_PUBLIC_URL=http://platform.test", "PLATFORM_TRUSTED_PROXIES=127.0.0.0/8", "PLATFORM_RATE_LIMIT=100000",
		"PLATFORM_POSTGRES=" + postgres, "PLATFORM_REDIS=" + redis, "PLATFORM_MONGO=" + mongo, "PLATFORM_MONGO_DATABASE=microservices",
		"PLATFORM_SEALING_KEYS=" + testseal.Keyset,
		"PLATFORM_KAFKA=kafka://" + kafka + "/microservices?replication=1",
		"PLATFORM_SMTP=smtp+plain://" + s.mail.addr + "?from=platform@example.com",
		"PLATFORM_ASSERTION_PUBLIC_KEY=" + base64.StdEncoding.EncodeToString(public),
	}
	// All at once, over empty stores: the replicas make the tables together.
	for _, role := range services() {
		s.replicas[role] = []*replica{s.launch(role, "127.0.0.1:0"), s.launch(role, "127.0.0.1:0")}
	}
	for _, role := range services() {
		var urls []string
		for _, r := range s.replicas[role] {
			r.ready()
			urls = append(urls, r.url)
		}
		s.env = append(s.env, "PLATFORM_"+strings.ToUpper(role)+"_URLS="+strings.Join(urls, ","))
	}
	s.env = append(s.env, "PLATFORM_ASSERTION_KEY="+base64.StdEncoding.EncodeToString(private.Seed()))
	s.replicas[roleGateway] = []*replica{s.launch(roleGateway, "127.0.0.1:0"), s.launch(roleGateway, "127.0.0.1:0")}
	for _, r := range s.replicas[roleGateway] {
		r.ready()
	}
	return s
}

// replica is one running process.
type replica struct {
	t         *testing.T
	role      string
	url       string
	cmd       *exec.Cmd
	listening chan string
	done      chan struct{} // closed when the process has ended

	mu  sync.Mutex
	log bytes.Buffer
}

// launch starts a process, which ends with the whole test.
func (s *stack) launch(role, addr string) *replica {
	s.t.Helper()
	r := &replica{
		t: s.t, role: role, cmd: exec.Command(s.program, role, "--addr", addr),
		listening: make(chan string, 1), done: make(chan struct{}),
	}
	r.cmd.Env = s.env
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(r.done)
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			r.mu.Lock()
			r.log.Write(append(lines.Bytes(), '\n'))
			r.mu.Unlock()
			var line struct{ Msg, Addr string }
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
				r.listening <- line.Addr
			}
		}
		_ = r.cmd.Wait()
	}()
	s.whole.Cleanup(func() {
		r.kill()
		if s.whole.Failed() {
			s.whole.Logf("%s %s:\n%s", r.role, r.url, r.tail())
		}
	})
	return r
}

// ready waits until the process says so.
func (r *replica) ready() {
	r.t.Helper()
	select {
	case addr := <-r.listening:
		r.url = "http://" + addr
	case <-r.done:
		r.t.Fatalf("%s ended: %s\n%s", r.role, r.cmd.ProcessState, r.tail())
	case <-time.After(patience):
		r.t.Fatalf("%s does not listen\n%s", r.role, r.tail())
	}
	eventually(r.t, r.role+" is ready", func() bool {
		resp, err := http.Get(r.url + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// kill ends the process as a crash would, and waits for its end.
func (r *replica) kill() {
	_ = r.cmd.Process.Kill()
	<-r.done
}

// restart starts the killed replica again at its address.
func (s *stack) restart(role string, i int) {
	s.t.Helper()
	s.replicas[role][i] = s.launch(role, strings.TrimPrefix(s.replicas[role][i].url, "http://"))
	s.replicas[role][i].ready()
}

// tail is the end of what the process logged.
func (r *replica) tail() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := strings.SplitAfter(r.log.String(), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, `"msg":"request"`) })
	return strings.Join(lines[max(0, len(lines)-15):], "")
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
