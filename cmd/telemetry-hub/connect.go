package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/socket"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// lockPatience is how long a command waits for files that are held by a hub which is starting or stopping, or by another
// command.
const lockPatience = 10 * time.Second

// mode says what a command needs of a data directory when no hub runs on it.
type mode int

const (
	reading  mode = iota // it only reads, and where nothing can be written a copy serves as well
	existing             // it changes what is there
	orCreate             // it may make what is not there
)

// connect returns a client of the hub that runs on dir or, if none does, of the files themselves.
func connect(ctx context.Context, dir string, m mode) (*client.Client, error) {
	deadline := time.Now().Add(lockPatience)
	for {
		c, err := client.Dial(ctx, dir)
		if errors.Is(err, fs.ErrPermission) {
			return nil, withHint(err, "run the command as root or as the user the hub runs as")
		}
		if !errors.Is(err, socket.ErrNotRunning) {
			return c, err
		}
		c, err = openFiles(dir, m)
		if !errors.Is(err, store.ErrLocked) {
			return c, err
		}
		if time.Now().After(deadline) {
			return nil, withHint(fmt.Errorf("%s: %w", dir, err), "a hub that is starting or stopping holds it for a while; another command may, too")
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// openFiles opens the store in dir and serves it to a client in this process.
func openFiles(dir string, m mode) (*client.Client, error) {
	if m != orCreate {
		_, err := os.Stat(filepath.Join(dir, "hub.db"))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, withHint(fmt.Errorf("there is no hub's data in %s", dir), "give the hub's directory with --data-dir, or set %sDATA_DIR", envPrefix)
		case errors.Is(err, fs.ErrPermission):
			return nil, withHint(err, "run the command as root or as the user the hub runs as")
		case err != nil:
			return nil, err
		}
	}
	c, err := client.Open(store.Options{
		Dir: dir, Logger: newLogger(os.Stderr, slog.LevelWarn),
		// The hub's own limits are not known here: nothing must go because of others.
		JournalMaxBytes: math.MaxInt64, HistoryMaxBytes: math.MaxInt64,
	}, buildVersion())
	return c, hintCannotWrite(err)
}

// hintCannotWrite adds to an error of opening the store what helps where it can't be written.
func hintCannotWrite(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return withHint(err, "run the command as root or as the user the hub runs as")
	case errors.Is(err, syscall.EROFS):
		return withHint(err, "the file system is read-only: commands that change nothing work there, and a hub does not")
	}
	return err
}

// hintTrust adds to an error of a hub elsewhere what helps when its certificate is not trusted.
func hintTrust(err error) error {
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); unknown {
		return withHint(err, "the CA of a hub without --tls-cert is tls/ca.pem in its data directory: give a copy of it with --ca")
	}
	if _, other := errors.AsType[x509.HostnameError](err); other {
		return withHint(err, "use a name or an address that is in the hub's certificate, or add this one with names in its configuration")
	}
	return err
}

// withHub runs use with a client of the hub that the flags mean. Root acts as the owner of its directory meanwhile.
func withHub(cmd *cobra.Command, h *hubFlags, m mode, use func(context.Context, *client.Client) error) (err error) {
	if err := h.check(cmd); err != nil {
		return err
	}
	if h.url != "" {
		c, err := h.remote()
		if err != nil {
			return err
		}
		return errors.Join(hintTrust(use(cmd.Context(), c)), c.Close())
	}
	dir, err := h.dir()
	if err != nil {
		return err
	}
	back, err := becomeOwner(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, back()) }()
	ctx := cmd.Context()
	if m == reading && onlyReadable(cmd.Context(), dir) {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE) // the copy is removed then, too
		defer stop()
		var remove func() error
		if dir, remove, err = readableCopy(ctx, dir); err != nil {
			return &codedError{err, exitUnreachable}
		}
		defer func() { err = errors.Join(err, remove()) }()
	}
	c, err := connect(ctx, dir, m)
	if err != nil {
		return &codedError{err, exitUnreachable}
	}
	return errors.Join(use(ctx, c), c.Close())
}
