package main

import (
	"context"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// mode says what a command needs of a data directory when no hub runs on it.
type mode int

const (
	reading  mode = iota // it only reads, and where nothing can be written a copy serves as well
	existing             // it changes what is there
	orCreate             // it may make what is not there
)

// hintReach adds to an error of reaching a hub's data what helps.
func hintReach(err error) error {
	switch {
	case errors.Is(err, client.ErrNoData):
		return withHint(err, "give the hub's directory with --data-dir, or set %sDATA_DIR", envPrefix)
	case errors.Is(err, client.ErrNoRoom):
		return withHint(err, "name a directory with more room in TMPDIR")
	case errors.Is(err, store.ErrLocked):
		return withHint(err, "a hub that is starting or stopping holds it for a while; another command may, too")
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
	if m == reading && client.NeedsCopy(ctx, dir) {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE) // the copy is removed then, too
		defer stop()
		var remove func() error
		if dir, remove, err = client.Copy(ctx, dir); err != nil {
			return &codedError{hintReach(err), exitUnreachable}
		}
		defer func() { err = errors.Join(err, remove()) }()
	}
	c, err := client.Connect(ctx, client.Options{
		Dir: dir, Create: m == orCreate, Version: buildVersion(), Logger: newLogger(os.Stderr, slog.LevelWarn),
	})
	if err != nil {
		return &codedError{hintReach(err), exitUnreachable}
	}
	return errors.Join(use(ctx, c), c.Close())
}
