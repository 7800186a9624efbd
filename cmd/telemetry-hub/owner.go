package main

import (
	"errors"
	"fmt"
	"io/fs"
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

// becomeOwner makes root the owner of dir for the rest of the process.
func becomeOwner(dir string) error {
	st, err := foreignOwner(dir)
	if st == nil || err != nil {
		return err
	}
	if err := errors.Join(
		syscall.Setgroups([]int{int(st.Gid)}), syscall.Setgid(int(st.Gid)), syscall.Setuid(int(st.Uid)),
	); err != nil {
		return fmt.Errorf("become the owner of %s: %w", dir, err)
	}
	return nil
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
