// Package hub is the running hub.
package hub

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// Config is what a Hub is made of.
type Config struct {
	Store  *store.Store
	Limits Limits
	Logger *slog.Logger     // nil: slog.Default
	Now    func() time.Time // wall clock; nil: time.Now
	Name   string           // realm shown to devices that fail to authenticate; "": telemetry-hub
}

// Hub accepts device connections and hands what they send to the store.
type Hub struct{}

// New returns a hub that serves devices as soon as Run is called or its Handler is served.
func New(c Config) *Hub { return &Hub{} }

// Handler serves device.Path.
func (h *Hub) Handler() http.Handler { return http.NotFoundHandler() }

// Run serves ln with TLS until ctx ends.
func (h *Hub) Run(ctx context.Context, ln net.Listener, tlsConfig *tls.Config) error { return nil }

// Disconnect closes the live connection of a device, if it has one.
func (h *Hub) Disconnect(deviceID string, code device.CloseCode, text string) {}
