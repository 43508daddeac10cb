package notify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/acme/platform/internal/test/testdb"
	"github.com/acme/platform/notify"
)

func (w *world) mailToBob(title string) string {
	w.t.Helper()
	return w.want(201, acme, "ann", "POST", "/v1/notify/messages", map[string]any{
		"to": map[string]any{"users": []string{"bob"}}, "channels": []string{"email"}, "title": title, "body": "Größe", "html": "<p>Rich</p>",
	})["id"].(string)
}

// Without a mail server each e-mail is a file, whole and for its owner alone;
// the log names the file and says nothing of what is in it.
func TestMailFolder(t *testing.T) {
	testdb.SQLiteOnly(t)
	dir := filepath.Join(t.TempDir(), "data", "mail")
	var log bytes.Buffer
	folder := &notify.MailFolder{Dir: dir, From: "Acme <no-reply@acme.example>", Logger: slog.New(slog.NewJSONHandler(&log, nil))}
	w := start(t, func(c *notify.Config) { c.Mail = folder })
	id := w.mailToBob("A canary")
	eventually(t, "the e-mail", func() bool { return w.delivery(id).Status == notify.DeliveryDelivered })
	files := names(t, dir)
	if len(files) != 1 || !strings.HasSuffix(files[0], "-"+w.delivery(id).ID+".eml") {
		t.Fatalf("files %v", files)
	}
	file := filepath.Join(dir, files[0])
	for path, mode := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, file: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil || got.Header.Get("Subject") != "A canary" || !strings.Contains(got.Header.Get("To"), "bob@example.com") ||
		!strings.Contains(string(raw), "Gr=C3=B6=C3=9Fe") || !strings.Contains(string(raw), "<p>Rich</p>") {
		t.Errorf("%v in %s", err, raw)
	}
	if !strings.Contains(log.String(), file) || strings.Contains(log.String(), "canary") || strings.Contains(log.String(), "bob@") {
		t.Errorf("the log says %s", log.String())
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// The folder keeps the newest mails, and leaves alone what is not its own.
func TestMailFolderIsBounded(t *testing.T) {
	testdb.SQLiteOnly(t)
	dir := t.TempDir()
	begun := filepath.Join(dir, ".unfinished-1")
	for _, own := range []string{filepath.Join(dir, "notes.eml"), begun} {
		if err := os.WriteFile(own, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(begun, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	f := &notify.MailFolder{Dir: dir, From: "no-reply@acme.example", Keep: 3}
	made := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	letter := func(n int) notify.Mail {
		return notify.Mail{ID: fmt.Sprintf("dlv_%d", n), To: mail.Address{Address: "a@example.com"}, Subject: "s", Text: "t", Date: made.Add(time.Duration(n) * time.Second)}
	}
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			if err := f.Send(context.Background(), letter(n)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := f.Send(t.Context(), letter(19)); err != nil { // again: it takes the place of its file
		t.Fatal(err)
	}
	want := "[20260301T120017.000000Z-dlv_17.eml 20260301T120018.000000Z-dlv_18.eml 20260301T120019.000000Z-dlv_19.eml notes.eml]"
	if got := fmt.Sprint(names(t, dir)); got != want {
		t.Errorf("got %s", got)
	}
	odd := letter(30)
	odd.ID = "../../x y"
	if err := f.Send(t.Context(), odd); err != nil || !strings.Contains(fmt.Sprint(names(t, dir)), "20260301T120030.000000Z-______x_y.eml") {
		t.Errorf("%v, %v", err, names(t, dir))
	}
}

// A folder that cannot be written to is a failure that passes, and the log says
// which folder and why.
func TestMailFolderAway(t *testing.T) {
	testdb.SQLiteOnly(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	f := &notify.MailFolder{Dir: filepath.Join(file, "mail"), From: "no-reply@acme.example", Logger: slog.New(slog.NewJSONHandler(&log, nil))}
	m := notify.Mail{ID: "dlv_1", To: mail.Address{Address: "a@example.com"}, Subject: "canary", Date: created}
	var refused *notify.MailError
	if err := f.Send(t.Context(), m); !errors.As(err, &refused) || refused.Permanent || refused.Reason != "mail_folder" || refused.Response != "" {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(log.String(), file) || strings.Contains(log.String(), "canary") {
		t.Errorf("the log says %s", log.String())
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Send(ended, m); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
