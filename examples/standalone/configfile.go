package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"runtime"
	"strings"
)

// readConfig reads a file of lines such as
//
//	PLATFORM_POSTGRES=postgres://owner:secret@db.internal/acme?sslmode=verify-full
//
// the form that systemd (EnvironmentFile) and containers (--env-file) read too.
// A line that begins with # is a comment; quotes around a whole value are taken
// off. The names are those of the environment. A file that everybody can read
// is refused, since secrets belong into it. No error shows a line.
func readConfig(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode(); runtime.GOOS != "windows" && mode&fs.FileMode(0o007) != 0 {
		return nil, fmt.Errorf("%s: everybody may read or change it (mode %04o), and secrets belong into it: chmod o= it", path, mode.Perm())
	}
	values := map[string]string{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(string(line), "=")
		name = strings.TrimSpace(name)
		if !ok || !settingName.MatchString(name) {
			return nil, fmt.Errorf("%s:%d: must be %sNAME=value", path, n, envPrefix)
		}
		if _, twice := values[name]; twice {
			return nil, fmt.Errorf("%s:%d: %s is there twice", path, n, name)
		}
		values[name] = unquote(strings.TrimSpace(value))
	}
	return values, lines.Err()
}

// settingName keeps out of errors what is no name, and may be a secret.
var settingName = regexp.MustCompile("^" + envPrefix + "[A-Z_]+$")

// unquote takes off a pair of quotes; there are no escapes in it.
func unquote(s string) string {
	if n := len(s); n >= 2 && s[0] == s[n-1] && (s[0] == '"' || s[0] == '\'') {
		return s[1 : n-1]
	}
	return s
}
