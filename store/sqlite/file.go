package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// prepareFolder makes the folder of path where it is missing, and returns
// path with its links resolved, so that one file has one lock.
func prepareFolder(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		if err != nil {
			return "", err
		}
		return filepath.Join(dir, filepath.Base(path)), nil
	case err != nil:
		return "", err
	}
	info, err := os.Stat(resolved)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is not a file")
	}
	return resolved, nil
}

// makeFolder is os.MkdirAll for what must survive the loss of power: SQLite
// forces the folder of its files to the disk, but nobody the folders above,
// in which this one is only an entry.
func makeFolder(dir string) error {
	switch info, err := os.Stat(dir); {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &os.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeFolder(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return syncFolder(parent)
}

// magic begins every SQLite file (https://www.sqlite.org/fileformat.html).
const magic = "SQLite format 3\x00"

// prepareFile makes the file where it is missing, readable for its owner only;
// SQLite gives the files beside it the same mode. It refuses what is no
// SQLite file before SQLite sees it.
func prepareFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	head := make([]byte, len(magic))
	n, err := io.ReadFull(f, head)
	switch {
	case errors.Is(err, io.EOF): // a new file
		err = nil
	case errors.Is(err, io.ErrUnexpectedEOF), err == nil && string(head) != magic:
		err = fmt.Errorf("it is not a SQLite file (%d bytes read)", n)
	}
	return errors.Join(err, f.Close())
}
