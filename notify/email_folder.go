package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/acme/platform/internal/setting"
)

// MailFolder is the [Mailer] that writes each e-mail into a file, so that all
// that needs e-mail can be tried, and tested, without a mail server. Who can
// read the folder can read the secrets in the mails.
//
// A file is a message of RFC 5322 with the mode 0600. Its name begins with the
// time at which the mail was made and ends with ".eml"; it appears under that
// name once it is whole.
type MailFolder struct {
	// Dir is the folder; required. It is made with the mode 0700 where it is
	// missing.
	Dir string
	// From is the sender, "Acme <no-reply@acme.example>"; required.
	From string
	// Keep is how many mails stay in the folder: the oldest make room for new
	// ones. Zero is 1,000.
	Keep int
	// Logger is told the name of each file, and why one could not be written;
	// nil is silence.
	Logger *slog.Logger

	trimming sync.Mutex
}

// mailFileName is what the names of this type look like: other files in the
// folder are left alone.
var mailFileName = regexp.MustCompile(`^\d{8}T\d{6}\.\d{6}Z-[A-Za-z0-9_-]+\.eml$`)

const (
	unfinishedMail = ".unfinished-"
	// unfinishedAge is after how long a file that was begun is nobody's.
	unfinishedAge = time.Hour
)

// prepare returns a copy, which the host cannot change any more.
func (f *MailFolder) prepare(c *setting.Check) Mailer {
	if f == nil {
		c.Need(false, "Mail", "must not be a nil *MailFolder: leave it out")
		return nil
	}
	c.Need(f.Dir != "", "Mail.MailFolder.Dir", "must be set")
	_, err := mail.ParseAddress(f.From)
	c.Need(err == nil, "Mail.MailFolder.From", "must be an address")
	c.Need(f.Keep >= 0, "Mail.MailFolder.Keep", "must not be negative")
	return &MailFolder{Dir: f.Dir, From: f.From, Keep: f.Keep, Logger: f.Logger}
}

func (*MailFolder) longest() time.Duration { return 0 }

// Send is of [Mailer]. A repeated mail takes the place of its first file.
func (f *MailFolder) Send(ctx context.Context, m Mail) error {
	log := cmp.Or(f.Logger, slog.New(slog.DiscardHandler))
	file := filepath.Join(f.Dir, m.fileName())
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := f.write(file, m); err != nil {
		if refused := (*MailError)(nil); errors.As(err, &refused) {
			return err
		}
		log.ErrorContext(ctx, "an e-mail could not be written", slog.String("file", file), slog.Any("error", err))
		return &MailError{Reason: "mail_folder", Err: err}
	}
	log.InfoContext(ctx, "an e-mail was written", slog.String("file", file))
	if err := f.trim(); err != nil {
		log.ErrorContext(ctx, "old e-mails could not be removed", slog.String("folder", f.Dir), slog.Any("error", err))
	}
	return nil
}

// fileName sorts by the time at which the mail was made.
func (m Mail) fileName() string {
	id := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' {
			return r
		}
		return '_'
	}, m.ID)
	return m.Date.UTC().Format("20060102T150405.000000Z") + "-" + id + ".eml"
}

func (f *MailFolder) write(file string, m Mail) (err error) {
	message, err := m.message(f.From)
	if err != nil {
		return errNoMessage(err)
	}
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return err
	}
	unfinished, err := os.CreateTemp(f.Dir, unfinishedMail) // its mode is 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(unfinished.Name()))
		}
	}()
	_, err = message.WriteTo(unfinished)
	err = errors.Join(err, unfinished.Sync(), unfinished.Close())
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return os.Rename(unfinished.Name(), file)
}

// trim removes the oldest mails beyond Keep, and what a process that ended in
// the middle has left.
func (f *MailFolder) trim() error {
	f.trimming.Lock()
	defer f.trimming.Unlock()
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return err
	}
	var mails, remove []string
	for _, e := range entries {
		switch name := e.Name(); {
		case mailFileName.MatchString(name):
			mails = append(mails, name)
		case strings.HasPrefix(name, unfinishedMail):
			if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > unfinishedAge {
				remove = append(remove, name)
			}
		}
	}
	slices.Sort(mails)
	if over := len(mails) - cmp.Or(f.Keep, 1000); over > 0 {
		remove = append(remove, mails[:over]...)
	}
	var errs []error
	for _, name := range remove {
		// Another process that shares the folder may have been faster.
		if err := os.Remove(filepath.Join(f.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
