// Package control is how the command line reaches the hub: HTTP with JSON over a Unix socket in the data directory.
//
//	GET    /status                     Status
//	GET    /devices                    []Device
//	POST   /devices                    []store.NewDevice → []store.Credential, all of them or none
//	GET    /devices/{id}               Device, with its schema
//	DELETE /devices/{id}               forget the device and its readings
//	POST   /devices/{id}/rotate        → store.Credential
//	POST   /devices/{id}/revoke
//	GET    /devices/{id}/readings      ?channel= &from= &to= (RFC 3339) &format=table|csv|json|lineprotocol, streamed
//	POST   /devices/{id}/commands      NewCommand → store.Command
//	GET    /commands                   ?device= &state= (repeated) &since= &before=NUMBER &limit=N → []store.Command, newest first
//	GET    /commands/{id}              ?wait=5s → store.Command
//	POST   /commands/{id}/cancel       → store.Command
//	GET    /devices/{id}/settings      → []store.Setting
//	PUT    /devices/{id}/settings/{channel}     {"value": TEXT} → store.Setting
//	DELETE /devices/{id}/settings/{channel}
//	GET    /audit                      ?device= &since= &after=NUMBER &before=NUMBER &limit=N → []store.AuditEntry, newest first
//	GET    /dead-letters               ?after=POSITION &limit=N → []store.DeadLetter, oldest first
//	POST   /dead-letters/replay        ?position=N (repeated) or ?all=true → store.Replayed
//	DELETE /dead-letters               ?position=N (repeated) or ?all=true → {"dropped": N}
//	GET    /certificate                certificate.Info
//	POST   /certificate/renew          → certificate.Info
//	GET    /users                      []store.User
//	POST   /users                      NewUser
//	POST   /users/{name}/password      {"password": …}
//	DELETE /users/{name}
//	GET    /apikeys                    []store.APIKey
//	POST   /apikeys                    NewAPIKey → MadeAPIKey
//	DELETE /apikeys/{name}
//
// An answer other than 2xx carries an [Error]. A stream that fails midway says so in the trailer Telemetry-Hub-Error.
//
// When no hub runs, the command line opens the files with [Open], which serves the same [Handler] in its own process: every
// operation exists once.
package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// SocketName is the socket's name in the data directory.
const SocketName = "hub.sock"

// Listen makes the socket of the hub that holds dataDir, in place of one left by a hub that was killed. The caller must
// hold the directory's lock, as an open store does. Only the socket's owner and root can connect.
func Listen(dataDir string) (net.Listener, error) {
	// The socket is made under another name, and takes its own when its mode is right: nobody can connect before.
	fresh := SocketName + ".new"
	if err := os.Remove(filepath.Join(dataDir, fresh)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	var ln *net.UnixListener
	err := inDirectory(dataDir, fresh, func(addr *net.UnixAddr) (err error) {
		ln, err = net.ListenUnix("unix", addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	ln.SetUnlinkOnClose(false)
	path := filepath.Join(dataDir, SocketName)
	if err := os.Chmod(filepath.Join(dataDir, fresh), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), ln.Close())
	}
	if err := os.Rename(filepath.Join(dataDir, fresh), path); err != nil {
		return nil, errors.Join(fmt.Errorf("control socket: %w", err), ln.Close())
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
