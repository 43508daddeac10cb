package seal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// File is a file with the JSON of a keyset, as the tool tinkey writes it, too. Where
// it is missing it is made at the first use, readable for its owner alone, together
// with its folder. A file that others can read is refused: one that belongs to root
// may be readable for a group, as Kubernetes mounts secrets for a pod that has an
// fsGroup. Where permissions are no Unix modes, as on Windows, they are not looked
// at.
func File(path string) Keys { return file(path) }

type file string

func (f file) String() string { return "the file " + string(f) }

func (f file) Load(context.Context) ([]byte, error) {
	in, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoKeyset
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return nil, err
	}
	if err := private(info); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(in, maxKeyset+1))
	if err == nil && len(raw) > maxKeyset {
		err = errors.New("is too long for a keyset")
	}
	return raw, err
}

// private refuses what others than the owner can read, or write.
func private(info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return errors.New("is not a file")
	}
	mode := info.Mode().Perm()
	forbidden := fs.FileMode(0o077)
	if ownedByRoot(info) {
		forbidden = 0o037
	}
	if runtime.GOOS != "windows" && mode&forbidden != 0 {
		return fmt.Errorf("others can read it, its mode is %04o: make it 0600", mode)
	}
	return nil
}

// Store writes a file beside this one and puts it in its place, so that a reader
// has the one or the other, also after the power was lost.
func (f file) Store(ctx context.Context, old, next []byte) error {
	dir := filepath.Dir(string(f))
	if old == nil {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	} else if now, err := f.Load(ctx); err != nil || !bytes.Equal(now, old) {
		return errors.Join(ErrChanged, err)
	}
	temp, err := os.CreateTemp(dir, "."+filepath.Base(string(f))+"-*") // mode 0600
	if errors.Is(err, fs.ErrPermission) {
		return errors.Join(ErrReadOnly, err)
	}
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(next)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if old == nil { // a link does not replace the file of a process that was quicker
		err = os.Link(temp.Name(), string(f))
		if errors.Is(err, fs.ErrExist) {
			return ErrChanged
		}
	} else {
		err = os.Rename(temp.Name(), string(f))
	}
	return errors.Join(err, syncFolder(dir))
}

func syncFolder(dir string) error {
	if runtime.GOOS == "windows" { // a folder cannot be synced there
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
