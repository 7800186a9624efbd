package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// foreignOwner returns who owns dir if this process is root and the owner is somebody else. Files that root makes there
// would be out of the owner's reach, and the service could not start any more.
func foreignOwner(dir string) (*syscall.Stat_t, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 0 {
		return st, nil
	}
	return nil, nil
}

// becomeOwner lets root act as the owner of dir until back is called. Files that were opened before stay usable.
func becomeOwner(dir string) (back func() error, err error) {
	st, err := foreignOwner(dir)
	if st == nil || err != nil {
		return func() error { return nil }, err
	}
	groups, err := syscall.Getgroups()
	if err != nil {
		return nil, err
	}
	// Only the effective ids change, so that there is a way back. Groups come first: without root's id they can't change.
	if err := errors.Join(
		syscall.Setgroups([]int{int(st.Gid)}), syscall.Setresgid(-1, int(st.Gid), -1), syscall.Setresuid(-1, int(st.Uid), -1),
	); err != nil {
		return nil, fmt.Errorf("act as the owner of %s: %w", dir, err)
	}
	return func() error {
		return errors.Join(syscall.Setresuid(-1, 0, -1), syscall.Setresgid(-1, os.Getgid(), -1), syscall.Setgroups(groups))
	}, nil
}

// refuseForeignOwner is for serve, which may need what only root can read and so does not change its user by itself.
func refuseForeignOwner(dir string) error {
	st, err := foreignOwner(dir)
	if st == nil || err != nil {
		return err
	}
	name := strconv.Itoa(int(st.Uid))
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	return withHint(fmt.Errorf("%s belongs to the user %s, and this is root", dir, name), "run it as that user: runuser -u %s -- telemetry-hub serve …", name)
}

// warnOfOpenDirectory logs that others can replace what is in the data directory, whatever the modes of the files.
func warnOfOpenDirectory(dir string, log *slog.Logger) {
	if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o022 != 0 {
		log.Warn("other users can replace the files in the data directory: chmod 700 it", "directory", dir, "mode", info.Mode().Perm().String())
	}
}
