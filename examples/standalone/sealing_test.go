package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sealing runs a command and returns what it prints.
func sealing(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), append([]string{"sealing"}, args...), environment(env), &out, &errs)
	return code, out.String(), errs.String()
}

// The keys in a file: made once, rotated, retired.
func TestSealingFile(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	if code, _, says := sealing(t, nil, "rotate", "--data", data); code != 1 || !strings.Contains(says, "there is no keyset") {
		t.Errorf("rotated what is not there: %d %s", code, says)
	}
	code, made, says := sealing(t, nil, "create", "--data", data)
	if code != 0 || !strings.HasSuffix(made, "  seals and opens\n") {
		t.Fatalf("code %d: %s%s", code, made, says)
	}
	first, _, _ := strings.Cut(made, " ")
	if info, err := os.Stat(filepath.Join(data, "acme.keys")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	if code, _, says := sealing(t, nil, "create", "--data", data); code != 1 || !strings.Contains(says, "keys in the file") {
		t.Errorf("made twice: %d %s", code, says)
	}
	if code, _, says := sealing(t, nil, "retire", first, "--data", data); code != 1 {
		t.Errorf("the primary key is retired: %d %s", code, says)
	}
	if code, list, says := sealing(t, nil, "rotate", "--data", data); code != 0 || !strings.HasPrefix(list, first+"  opens\n") || strings.Count(list, "\n") != 2 {
		t.Errorf("rotated: %d %s%s", code, list, says)
	}
	if code, list, says := sealing(t, nil, "retire", first, "--data", data); code != 0 || !strings.HasPrefix(list, first+"  retired\n") {
		t.Errorf("retired: %d %s%s", code, list, says)
	}
	if code, list, says := sealing(t, nil, "restore", first, "--data", data); code != 0 || !strings.HasPrefix(list, first+"  opens\n") {
		t.Errorf("restored: %d %s%s", code, list, says)
	}
	if code, list, _ := sealing(t, nil, "list", "--data", data); code != 0 || strings.Count(list, "\n") != 2 {
		t.Errorf("listed: %d %s", code, list)
	}
}

// Keys in a variable are printed as the new value of the variable.
func TestSealingVariable(t *testing.T) {
	variable := func(out string) map[string]string {
		t.Helper()
		value, ok := strings.CutPrefix(strings.TrimSuffix(out, "\n"), "PLATFORM_SEALING_KEYS=")
		if !ok || strings.Contains(value, "\n") {
			t.Fatalf("printed %q", out)
		}
		return map[string]string{"PLATFORM_SEALING_KEYS": value}
	}
	code, out, says := sealing(t, nil, "create", "--sealing-keys-file", "-")
	if code != 0 {
		t.Fatal(says)
	}
	env := variable(out)
	if code, out, says = sealing(t, env, "publish"); code != 0 {
		t.Fatal(says)
	}
	env = variable(out)
	second := strings.Fields(strings.Split(says, "\n")[1])[0]
	if code, out, says = sealing(t, env, "promote", second); code != 0 || !strings.Contains(says, second+"  seals and opens") {
		t.Errorf("promoted: %d %s", code, says)
	}
	env = variable(out)
	if code, out, _ = sealing(t, env, "list"); code != 0 || strings.Contains(out, "PLATFORM") || strings.Count(out, "\n") != 2 {
		t.Errorf("listed: %d %s", code, out)
	}
	env["PLATFORM_SEALING_KEYS"] = "hunter2"
	if code, _, says = sealing(t, env, "list"); code != 1 || strings.Contains(says, "hunter2") {
		t.Errorf("what is no keyset: %d %s", code, says)
	}
}

// Where the keys are must be said for PostgreSQL, and once.
func TestSealingOptions(t *testing.T) {
	for says, args := range map[string][]string{
		"must be set with --postgres":  {"serve", "--postgres", "postgres://a/b"},
		"--signing-algorithm: must be": {"serve", "--signing-algorithm", "HS256"},
		"only one can be set":          {"serve", "--sealing-keys", "hunter2", "--sealing-keys-file", "f"},
		"write \"standalone sealing":   {"sealing"},
		"standalone sealing create|":   {"sealing", "retire", "--data", "d"},
		"|restore ID [flags]":          {"sealing", "destroy"},
	} {
		var stderr bytes.Buffer
		if code := run(t.Context(), args, environment(nil), &stderr, &stderr); code != 2 || !strings.Contains(stderr.String(), says) || strings.Contains(stderr.String(), "hunter2") {
			t.Errorf("%v: code %d, %s", args, code, &stderr)
		}
	}
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"serve", "--addr", "127.0.0.1:0", "--sealing-keys-file", "-"}, environment(nil), &stderr, &stderr); code != 1 || !strings.Contains(stderr.String(), "is no place for them") {
		t.Errorf("served: code %d, %s", code, &stderr)
	}
}
