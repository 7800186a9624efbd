package control

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serveTest serves h on the socket in dir until the test ends.
func serveTest(t *testing.T, dir string, h http.Handler) {
	t.Helper()
	ln, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, ln, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if _, err := os.Lstat(filepath.Join(dir, SocketName)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket was left behind: %v", err)
		}
	})
}

func dialTest(t *testing.T, dir string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close the client: %v", err)
		}
	})
	return c
}

func TestDialWithoutHub(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Join(dir, "missing")} {
		if _, err := Dial(t.Context(), d); !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: got %v", d, err)
		}
	}
}

func TestListenReplacesTheSocketOfAKilledHub(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{SocketName, SocketName + ".new"} {
		dead, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, name)})
		if err != nil {
			t.Fatal(err)
		}
		dead.SetUnlinkOnClose(false)
		if err := dead.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNotRunning) {
		t.Fatalf("a dead socket: got %v", err)
	}
	serveTest(t, dir, http.NotFoundHandler())
	dialTest(t, dir)
	info, err := os.Lstat(filepath.Join(dir, SocketName))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("besides the socket there is more: %v, %v", entries, err)
	}
}

// The address of a socket holds 107 bytes of a path.
func TestLongDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 200))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	serveTest(t, dir, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, []Device{}) }))
	if _, err := dialTest(t, dir).Devices(t.Context()); err != nil {
		t.Error(err)
	}
}

// Nobody who reads slowly, or not at all, may keep the hub from ending.
func TestServeEndsDuringAStream(t *testing.T) {
	dir := t.TempDir()
	ln, err := Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	served := make(chan error, 1)
	block := make([]byte, 1<<20)
	go func() {
		served <- Serve(ctx, ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}))
	}()
	c := dialTest(t, dir)
	began := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- c.Readings(t.Context(), ReadingsQuery{Device: "d"}, writerFunc(func(p []byte) (int, error) {
			close(began)
			<-served // reads no further until the server has ended
			return len(p), io.ErrShortWrite
		}))
	}()
	<-began
	stop()
	if err := <-ended; err == nil {
		t.Error("the client does not know that the stream was cut")
	}
}

// A listener that fails must end Serve, and with it the hub, rather than leave the command line without an answer.
func TestServeEndsWithItsListener(t *testing.T) {
	ln, err := Listen(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Serve(t.Context(), ln, http.NotFoundHandler()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
