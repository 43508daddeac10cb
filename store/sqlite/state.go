package sqlite

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
)

// state is a small file beside the database (file.state) that says what must be
// there: without it a database that was removed would look like one that has
// never been, and a removed write-ahead log like one that is not needed.
//
// It is written in place and is smaller than a sector of any disk, so that a
// loss of power leaves what was there before or what is there now.
type state struct {
	path string
	file *os.File

	// known is false for a new installation, and for one of a program that
	// wrote no state.
	known bool
	// damaged is a state that cannot be read. It says only that there was an
	// installation.
	damaged bool
	stateRecord
}

// stateRecord is what the file holds.
type stateRecord struct {
	// running is true from before the first acknowledged commit until all
	// commits are in the database itself. So long the write-ahead log is there.
	running bool
	// installation and starts are those in the database at the last start.
	installation string
	starts       int64
}

const (
	stateFormat = "%s of %s, start %019d"
	stateBytes  = 512 // more than any record
)

func (r stateRecord) text() string {
	word := "stopped"
	if r.running {
		word = "running"
	}
	text := fmt.Sprintf(stateFormat, word, r.installation, r.starts)
	return fmt.Sprintf("%s, checksum %08x\n", text, crc32.ChecksumIEEE([]byte(text)))
}

// parseState returns false for what text has not made.
func parseState(text string) (r stateRecord, ok bool) {
	var word, sum string
	_, err := fmt.Sscanf(text, "%s of %s start %d, checksum %s", &word, &r.installation, &r.starts, &sum)
	if n := len(r.installation); n > 0 { // the comma
		r.installation = r.installation[:n-1]
	}
	r.running = word == "running"
	return r, err == nil && r.text() == text
}

// readState reads the state of the database at path, for its lock's holder.
func readState(path string) (*state, error) {
	s := &state{path: path + ".state"}
	raw, err := readAtMost(s.path, stateBytes)
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && len(raw) == 0: // the first start came to no end
		return s, nil
	case err != nil:
		return nil, err
	}
	s.known = true
	var ok bool
	if s.stateRecord, ok = parseState(string(raw)); !ok {
		s.damaged, s.stateRecord = true, stateRecord{}
	}
	return s, nil
}

func readAtMost(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, n))
	return raw, errors.Join(err, f.Close())
}

// write forces a record to the disk, and with it the entries of the folder: of
// this file and of the database's.
func (s *state) write(r stateRecord) error {
	if s.file == nil {
		f, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		s.file = f
		if err := syncFolder(filepath.Dir(s.path)); err != nil {
			return err
		}
	}
	text := r.text()
	if _, err := s.file.WriteAt([]byte(text), 0); err != nil {
		return err
	}
	if err := s.file.Truncate(int64(len(text))); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.known, s.damaged, s.stateRecord = true, false, r
	return nil
}

func (s *state) close() error {
	if s == nil || s.file == nil {
		return nil
	}
	return s.file.Close()
}

// syncFolder forces the entries of a folder to the disk.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" { // where a folder cannot be forced
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
