package main

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"syscall"
)

// stream sees a change that one gateway makes arrive at a live stream through
// the other, by whichever notify process; and a gateway that is stopped end the
// stream in order and not wait for it.
func (v *visit) stream() {
	t, ann := v.t, v.ann
	second := v.replicas[roleGateway][1]
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, second.url+"/v1/notify/inbox/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+ann.token)
	resp, err := ann.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	data := func() string {
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return text
			}
		}
		t.Fatalf("the stream ended: %d, %v", resp.StatusCode, lines.Err())
		return ""
	}
	before := data()
	ann.want(http.StatusCreated, "POST", "/v1/data/collections/films/records", object{"id": "live", "data": object{}}, nil)
	if after := data(); after == before {
		t.Errorf("told twice of %s", after)
	}
	if err := second.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("the stream broke off: %v", err)
	}
	<-second.done
	if code := second.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d\n%s", code, second.tail())
	}
	v.restart(roleGateway, 1)
}
