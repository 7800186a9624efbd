package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/socket"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// Open opens the store where no hub runs, and returns a client of its API in this process. It returns the errors of store.Open.
// The client's Close closes the store.
func Open(o store.Options, version string) (*Client, error) {
	st, err := store.Open(o)
	if err != nil {
		return nil, err
	}
	a := api.New(api.Config{Store: st, Logger: o.Logger, Version: version})
	mux := http.NewServeMux()
	a.Register(mux, api.OnSocket)
	ctx, cancel := context.WithCancel(context.Background())
	ln := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return socket.Serve(ctx, ln, mux) })
	g.Go(func() error { return st.Run(ctx) }) // a killed hub may have left frames that the history has not seen
	return local(ln.dial, func() error {
		a.End()
		cancel()
		return errors.Join(g.Wait(), st.Close())
	}), nil
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
