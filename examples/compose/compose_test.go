// Package compose holds no Go: its tests read the files beside them.
package compose

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"go.yaml.in/yaml/v3"

	"github.com/acme/platform/store"
	"github.com/acme/platform/store/seal"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// file is what the tests look at of the compose file.
type file struct {
	Services map[string]service
	Networks map[string]struct{ Internal bool }
	Volumes  map[string]any
}

type service struct {
	Image       string
	Build       map[string]string
	Command     []string
	Environment map[string]string
	Ports       []string
	Volumes     []string
	Networks    []string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck struct{ Test []string }
}

func parse(text string) (file, error) {
	var f file
	return f, yaml.Unmarshal([]byte(text), &f)
}

var (
	tagged = regexp.MustCompile(`^[a-z0-9./-]+:[a-z0-9.-]*[0-9][a-z0-9.-]*$`)
	// secret is the name of a variable that must not have a value here.
	secret = regexp.MustCompile(`PASSWORD|SECRET|AUTH|_KEYS?$`)
	// required is a value that comes from the environment or not at all.
	required = regexp.MustCompile(`^\$\{[A-Z_]+:\?[^}]+\}$`)
	// login is the part of a URL before the host.
	login = regexp.MustCompile(`://[^:@/]*:([^@/]*|\$\{[^}]*\})@`)
)

// faults says what is wrong with a compose file.
func faults(f file) []string {
	var all []string
	fault := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for name, s := range f.Services {
		if s.Build == nil && !tagged.MatchString(s.Image) {
			fault("%s: the image %q has no version", name, s.Image)
		}
		if test := s.Healthcheck.Test; len(test) < 2 || test[0] != "CMD" && test[0] != "CMD-SHELL" {
			fault("%s: no healthcheck", name)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				fault("%s: the port %s is open to other machines", name, p)
			}
		}
		for variable, value := range s.Environment {
			if secret.MatchString(variable) && !required.MatchString(value) {
				fault("%s: %s has a value of its own", name, variable)
			}
			for _, m := range login.FindAllStringSubmatch(value, -1) {
				if !required.MatchString(m[1]) {
					fault("%s: %s has a password of its own", name, variable)
				}
			}
		}
		for i, arg := range s.Command {
			if strings.Contains(arg, "pass") && (i+1 == len(s.Command) || !required.MatchString(s.Command[i+1])) {
				fault("%s: %s has a value of its own", name, arg)
			}
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if _, declared := f.Volumes[source]; !declared && !strings.HasPrefix(source, "./") {
				fault("%s: the volume %s is not declared", name, source)
			}
		}
		if name == "platform" {
			continue
		}
		if f.Services["platform"].DependsOn[name].Condition != "service_healthy" {
			fault("platform does not wait until %s is healthy", name)
		}
		for _, network := range s.Networks {
			if !f.Networks[network].Internal {
				fault("%s: is in the network %s, which reaches outside", name, network)
			}
		}
		if len(s.Networks) == 0 || len(s.Ports) > 0 {
			fault("%s: can be reached by others than the platform", name)
		}
	}
	return all
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCompose(t *testing.T) {
	f, err := parse(read(t, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"platform", "postgres", "mongo", "redis", "kafka"} {
		if _, ok := f.Services[name]; !ok {
			t.Errorf("there is no %s", name)
		}
	}
	for _, fault := range faults(f) {
		t.Error(fault)
	}
}

// The test would see what must not be.
func TestFaultsAreFound(t *testing.T) {
	good := read(t, "compose.yaml")
	for _, c := range []struct{ old, bad, want string }{
		{"postgres:17-alpine", "postgres:latest", "has no version"},
		{"mongo:8\n", "mongo\n", "has no version"},
		{"test: [CMD, /standalone, healthcheck]", "disable: true", "platform: no healthcheck"},
		{"- 127.0.0.1:${PORT:-8080}:8080", "- ${PORT:-8080}:8080", "open to other machines"},
		{"POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?run ./make-env.sh}", "POSTGRES_PASSWORD: postgres", "POSTGRES_PASSWORD has a value"},
		{"POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?run ./make-env.sh}", "POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:-postgres}", "POSTGRES_PASSWORD has a value"},
		{"platform:${MONGO_PASSWORD:?run ./make-env.sh}@", "platform:platform@", "PLATFORM_MONGO has a password"},
		{":${REDIS_PASSWORD:?run ./make-env.sh}@", ":${REDIS_PASSWORD:-redis}@", "PLATFORM_REDIS has a password"},
		{"- --requirepass\n      - ${REDIS_PASSWORD:?run ./make-env.sh}", "- --requirepass\n      - redis", "--requirepass has a value"},
		{"kafka: {condition: service_healthy}", "kafka: {condition: service_started}", "wait until kafka"},
		{"\n  kafka: {}\n", "\n", "volume kafka is not declared"},
		{"internal: true", "internal: false", "reaches outside"},
		{"image: apache/kafka:4.1.0", "image: apache/kafka:4.1.0\n    ports: [\"127.0.0.1:9092:9092\"]", "kafka: can be reached"},
	} {
		if strings.Count(good, c.old) < 1 {
			t.Errorf("%q is not in the file", c.old)
			continue
		}
		f, err := parse(strings.Replace(good, c.old, c.bad, 1))
		if err != nil {
			t.Errorf("%q: %v", c.bad, err)
			continue
		}
		if found := faults(f); !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, c.want) }) {
			t.Errorf("%q: found %q, want %q", c.bad, found, c.want)
		}
	}
}

// What the file sets are flags of the server.
func TestVariablesAreFlags(t *testing.T) {
	f, err := parse(read(t, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("../standalone/*.go")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no sources of the server: %v", err)
	}
	flags := make(map[string]bool)
	declared := regexp.MustCompile(`fs\.\w+Var\([^,]+, "([a-z-]+)"`)
	for _, name := range sources {
		for _, m := range declared.FindAllStringSubmatch(read(t, name), -1) {
			flags["PLATFORM_"+strings.ToUpper(strings.ReplaceAll(m[1], "-", "_"))] = true
		}
	}
	for variable := range f.Services["platform"].Environment {
		if !flags[variable] {
			t.Errorf("%s is no flag of the server", variable)
		}
	}
}

// checkKeyset seals and opens under a keyset.
func checkKeyset(t *testing.T, text string) {
	t.Helper()
	sealer, err := seal.New(seal.Config{Keys: seal.Memory(text)})
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := sealer.Seal(t.Context(), store.Cell{}, []byte("a secret"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := sealer.Open(t.Context(), store.Cell{}, sealed); err != nil || string(plain) != "a secret" {
		t.Errorf("got %q, %v", plain, err)
	}
}

// make-env.sh makes every password that the file asks for, each another one, for
// nobody else to read, and once.
func TestMakeEnv(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell")
	}
	dir := t.TempDir()
	script := filepath.Join(dir, "make-env.sh")
	if err := os.WriteFile(script, []byte(read(t, "make-env.sh")), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("sh", script).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	made := filepath.Join(dir, ".env")
	info, err := os.Stat(made)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	text := read(t, made)
	values := make(map[string]string)
	seen := make(map[string]bool)
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if name == "SEALING_KEYS" {
			values[name] = value
			checkKeyset(t, value)
			continue
		}
		if !regexp.MustCompile(`^[0-9a-f]{48}$`).MatchString(value) || seen[value] {
			t.Errorf("%s is %q", name, value)
		}
		values[name], seen[value] = value, true
	}
	asked := regexp.MustCompile(`\$\{([A-Z_]+):\?`).FindAllStringSubmatch(read(t, "compose.yaml"), -1)
	for _, m := range asked {
		if values[m[1]] == "" {
			t.Errorf("%s is asked for and not made", m[1])
		}
	}
	if len(asked) < 7 {
		t.Errorf("only %d passwords are asked for", len(asked))
	}
	if out, err := exec.Command("sh", script).CombinedOutput(); err == nil || read(t, made) != text {
		t.Errorf("a second run: %v, %s", err, out)
	}
}

func TestDockerfile(t *testing.T) {
	var last, user string
	for line := range strings.Lines(read(t, "Dockerfile")) {
		words := strings.Fields(line)
		if len(words) > 1 && words[0] == "FROM" {
			if last, user = words[1], ""; !strings.Contains(last, ":") || strings.HasSuffix(last, ":latest") {
				t.Errorf("%s is not pinned", last)
			}
		}
		if len(words) > 1 && words[0] == "USER" {
			user = words[1]
		}
	}
	if user == "" || user == "root" || user == "0" || !strings.Contains(last, "/static") {
		t.Errorf("the image is %s and runs as %q", last, user)
	}
}
