// Package socket is the Unix socket in the data directory, through which commands on the same machine reach the hub that runs
// there. Only the hub's own user and root can connect.
package socket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Name is the socket's name in the data directory.
const Name = "hub.sock"

// ErrNotRunning says that no hub answers in the data directory: there is no socket, or one left by a hub that was killed.
var ErrNotRunning = errors.New("no hub is running there")

// Dial connects to the hub that runs on dataDir, or returns ErrNotRunning.
func Dial(ctx context.Context, dataDir string) (conn net.Conn, err error) {
	err = inDirectory(dataDir, Name, func(addr *net.UnixAddr) error {
		conn, err = new(net.Dialer).DialContext(ctx, addr.Net, addr.Name)
		return err
	})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, fmt.Errorf("reach the hub: %w", err)
	}
	return conn, nil
}

// Listen makes the socket of the hub that holds dataDir, in place of one left by a hub that was killed. The caller must
// hold the directory's lock, as an open store does. Only the socket's owner and root can connect.
func Listen(dataDir string) (net.Listener, error) {
	// The socket is made under another name, and takes its own when its mode is right: nobody can connect before.
	fresh := Name + ".new"
	if err := os.Remove(filepath.Join(dataDir, fresh)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("the socket for commands: %w", err)
	}
	var ln *net.UnixListener
	err := inDirectory(dataDir, fresh, func(addr *net.UnixAddr) (err error) {
		ln, err = net.ListenUnix("unix", addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the socket for commands: %w", err)
	}
	ln.SetUnlinkOnClose(false)
	path := filepath.Join(dataDir, Name)
	if err := os.Chmod(filepath.Join(dataDir, fresh), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("the socket for commands: %w", err), ln.Close())
	}
	if err := os.Rename(filepath.Join(dataDir, fresh), path); err != nil {
		return nil, errors.Join(fmt.Errorf("the socket for commands: %w", err), ln.Close())
	}
	return &listener{UnixListener: ln, path: path}, nil
}

// listener unlinks the socket under the name it was given at last.
type listener struct {
	*net.UnixListener
	path string
}

func (l *listener) Close() error {
	if err := os.Remove(l.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(err, l.UnixListener.Close())
	}
	return l.UnixListener.Close()
}

// inDirectory calls use with an address for name in dir. A socket's path may have 107 bytes and a data directory's path
// more, so the directory is reached through its descriptor.
func inDirectory(dir, name string, use func(*net.UnixAddr) error) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	return use(&net.UnixAddr{Net: "unix", Name: fmt.Sprintf("/proc/self/fd/%d/%s", fd, name)})
}

// Serve answers on ln until ctx ends; streams still running then end with an error. It closes ln.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		// Whoever doesn't read is not waited for.
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if err := srv.Shutdown(grace); err != nil {
			return srv.Close()
		}
		return nil
	})
	return g.Wait()
}
