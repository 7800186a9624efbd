package control

import (
	"context"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serveTest serves h on the socket in dir until the test ends.
func serveTest(t *testing.T, dir string, h http.Handler) {
	t.Helper()
	ln, err := socket.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- socket.Serve(ctx, ln, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
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
