package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/socket"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// ErrNoData says that a directory does not hold a hub's data.
var ErrNoData = errors.New("there is no hub's data")

// patience is how long files are waited for that are held by a hub which is starting or stopping, or by another command.
const patience = 10 * time.Second

// Options say where a hub's data are, and how they are opened where no hub runs.
type Options struct {
	Dir     string
	Create  bool // make what is not there; else the error wraps ErrNoData
	Version string
	Logger  *slog.Logger
}

// Connect returns a client of the hub that runs on a directory or, if none does, of the files themselves, which are closed by its
// Close. It returns the errors of store.Open.
func Connect(ctx context.Context, o Options) (*Client, error) {
	for deadline := time.Now().Add(patience); ; {
		c, err := Dial(ctx, o.Dir)
		if !errors.Is(err, socket.ErrNotRunning) {
			return c, err
		}
		c, err = open(o)
		if !errors.Is(err, store.ErrLocked) {
			return c, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s: %w", o.Dir, err)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// open opens the store and serves its API to a client in this process.
func open(o Options) (*Client, error) {
	if !o.Create {
		if _, err := os.Stat(filepath.Join(o.Dir, "hub.db")); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w in %s", ErrNoData, o.Dir)
		} else if err != nil {
			return nil, err
		}
	}
	st, err := store.Open(store.Options{
		Dir: o.Dir, Logger: o.Logger,
		// The hub's own limits are not known here: nothing must go because of others.
		JournalMaxBytes: math.MaxInt64, HistoryMaxBytes: math.MaxInt64,
	})
	if err != nil {
		return nil, err
	}
	a := api.New(api.Config{Store: st, Logger: o.Logger, Version: o.Version})
	mux := http.NewServeMux()
	a.Register(mux, api.OnSocket)
	ctx, cancel := context.WithCancel(context.Background())
	ln := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return socket.Serve(ctx, ln, mux) })
	g.Go(func() error { return st.Run(ctx) }) // a killed hub may have left frames that the history has not seen
	c := local(ln.dial, func() error {
		a.End()
		cancel()
		return errors.Join(g.Wait(), st.Close())
	})
	c.alone = true
	return c, nil
}

// pipeListener hands the client's connections to the server in the same process.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Net: "unix", Name: "in process"} }
