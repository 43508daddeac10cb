package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// server is a running program with an organization in it.
type server struct {
	cmd    *exec.Cmd
	folder string
	url    string
	token  string
	client *http.Client
	number atomic.Int64 // makes what is created unique
}

// startServer starts the program with no limits and waits for its address.
func startServer(ctx context.Context, program, database string) (*server, error) {
	folder, err := os.MkdirTemp("", "pairs-")
	if err != nil {
		return nil, err
	}
	args := []string{
		"serve", "--addr", "127.0.0.1:0", "--log-format", "json", "--data", folder,
		"--rate-limit", "0", "--sign-in-limit", "0", "--access-token-ttl", "1h",
	}
	if database != "" {
		args = append(args, "--postgres", database)
	}
	s := &server{cmd: exec.CommandContext(ctx, program, args...), folder: folder, client: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 1000, DisableCompression: true},
	}}
	stderr, err := s.cmd.StderrPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		var line struct {
			Msg  string `json:"msg"`
			Addr string `json:"addr"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			s.url = "http://" + line.Addr
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			return s, nil
		}
	}
	s.stop()
	return nil, fmt.Errorf("%s ended before it listened", program)
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
	_ = os.RemoveAll(s.folder)
}

// call makes one request and decodes the answer into out where that is not nil.
func (s *server) call(ctx context.Context, method, path string, body []byte, out any) error {
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if s.token != "" {
		req.Header.Set("Authorization", "Bearer "+s.token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		if strings.Contains(path, "/import?") {
			req.Header.Set("Content-Type", "application/x-ndjson")
		}
	}
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %d %.200s", method, path, res.StatusCode, answer)
	}
	if out != nil {
		return json.Unmarshal(answer, out)
	}
	return nil
}

// run makes requests of an operation over some connections and returns what
// each cost.
func (s *server) run(ctx context.Context, op operation, clients, requests int) (sample, error) {
	cpu, err := cpuTime(s.cmd.Process.Pid)
	if err != nil {
		return sample{}, err
	}
	var (
		wg    sync.WaitGroup
		left  atomic.Int64
		fault atomic.Pointer[error]
	)
	left.Store(int64(requests))
	began := time.Now()
	for range clients {
		wg.Go(func() {
			for left.Add(-1) >= 0 && fault.Load() == nil {
				if err := op.request(ctx, s); err != nil {
					fault.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	wall := time.Since(began)
	if err := fault.Load(); err != nil {
		return sample{}, *err
	}
	after, err := cpuTime(s.cmd.Process.Pid)
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(requests) }
	return sample{cpu: each(after - cpu), wall: each(wall)}, err
}

// cpuTime is what a process has used of the processors (proc(5)).
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name may hold anything
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0, errors.New("/proc/pid/stat is not as expected")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond // USER_HZ is 100 on Linux
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}
