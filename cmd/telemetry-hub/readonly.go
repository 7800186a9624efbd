package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/telemetry-hub/telemetry-hub/hub/control"
)

// onlyReadable tells whether there are a hub's data that this process can't write, on a read-only file system or of another
// user, and no hub to ask.
func onlyReadable(ctx context.Context, dir string) bool {
	err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK, unix.AT_EACCESS)
	if !errors.Is(err, unix.EROFS) && !errors.Is(err, unix.EACCES) {
		return false
	}
	c, err := control.Dial(ctx, dir) // to a socket on a read-only file system, too
	if err == nil {
		_ = c.Close()
	}
	return errors.Is(err, control.ErrNotRunning)
}

// readableCopy copies a hub's data to a temporary directory, without keys and what was set aside: opening them means to repair
// what a power cut left, and to bring the history up to the journal, so they have to be written.
func readableCopy(ctx context.Context, dir string) (path string, remove func() error, err error) {
	path, err = os.MkdirTemp("", "telemetry-hub-copy-")
	if err != nil {
		return "", nil, withHint(err, "what is on a read-only file system is read from a copy: name a directory for it in TMPDIR")
	}
	remove = func() error { return os.RemoveAll(path) }
	err = fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case entry.IsDir() && entry.Name() == "set-aside":
			return fs.SkipDir
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(path, name), 0o700)
		case !entry.Type().IsRegular(), strings.HasSuffix(name, "key.pem"), strings.Contains(name, ".damaged-"):
			return nil
		}
		return copyFile(filepath.Join(path, name), filepath.Join(dir, name))
	})
	if errors.Is(err, fs.ErrPermission) {
		err = withHint(err, "run the command as root or as the user the hub runs as")
	} else if errors.Is(err, unix.ENOSPC) {
		err = withHint(err, "what is on a read-only file system is read from a copy: name a directory with more room in TMPDIR")
	}
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("copy what can't be written: %w", err), remove())
	}
	return path, remove, nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
