package client

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

	"github.com/telemetry-hub/telemetry-hub/dashboard/api/socket"
)

// NeedsCopy reports whether there are a hub's data that this process can't write, on a read-only file system or of another user,
// and no hub to ask.
func NeedsCopy(ctx context.Context, dir string) bool {
	err := unix.Faccessat(unix.AT_FDCWD, dir, unix.W_OK, unix.AT_EACCESS)
	if !errors.Is(err, unix.EROFS) && !errors.Is(err, unix.EACCES) {
		return false
	}
	conn, err := socket.Dial(ctx, dir) // to a socket on a read-only file system, too
	if err == nil {
		_ = conn.Close()
	}
	return errors.Is(err, socket.ErrNotRunning)
}

// ErrNoRoom says that there is no place for a copy.
var ErrNoRoom = errors.New("there is no place for a copy of what can't be written")

// Copy copies a hub's data to a temporary directory, without keys and what was set aside: opening them means to repair what a
// power cut left, and to bring the history up to the journal, so they have to be written.
func Copy(ctx context.Context, dir string) (path string, remove func() error, err error) {
	path, err = os.MkdirTemp("", "telemetry-hub-copy-")
	if err != nil {
		return "", nil, fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	remove = func() error { return os.RemoveAll(path) }
	err = copyDirectory(ctx, path, dir)
	if errors.Is(err, unix.ENOSPC) {
		err = fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("copy what can't be written: %w", err), remove())
	}
	return path, remove, nil
}

// copyDirectory copies into a directory that is there. Links are followed: a journal may be on another disk.
func copyDirectory(ctx context.Context, to, from string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if name == "set-aside" || strings.HasSuffix(name, "key.pem") || strings.Contains(name, ".damaged-") {
			continue
		}
		info, err := os.Stat(filepath.Join(from, name))
		switch {
		case errors.Is(err, fs.ErrNotExist): // a link to nothing
			continue
		case err != nil:
		case ctx.Err() != nil:
			err = ctx.Err()
		case info.IsDir():
			if err = os.Mkdir(filepath.Join(to, name), 0o700); err == nil {
				err = copyDirectory(ctx, filepath.Join(to, name), filepath.Join(from, name))
			}
		case info.Mode().IsRegular():
			err = copyFile(filepath.Join(to, name), filepath.Join(from, name))
		}
		if err != nil {
			return err
		}
	}
	return nil
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
