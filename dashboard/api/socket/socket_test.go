package socket

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

// serve serves h on the socket in dir until the test ends.
func serve(t *testing.T, dir string, h http.Handler) {
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
		if _, err := os.Lstat(filepath.Join(dir, Name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket was left behind: %v", err)
		}
	})
}

// get asks the server on the socket in dir.
func get(t *testing.T, dir string) (*http.Response, error) {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return Dial(ctx, dir) }}
	t.Cleanup(transport.CloseIdleConnections)
	return (&http.Client{Transport: transport}).Get("http://hub/")
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
	for _, name := range []string{Name, Name + ".new"} {
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
	serve(t, dir, http.NotFoundHandler())
	conn, err := Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	info, err := os.Lstat(filepath.Join(dir, Name))
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
	serve(t, dir, http.NotFoundHandler())
	resp, err := get(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
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
		served <- Serve(ctx, ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}))
	}()
	resp, err := get(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	stop()
	if err := <-served; err != nil { // nothing is read until the server has ended
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
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
