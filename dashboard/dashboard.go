// Package dashboard is what people and scripts touch: the page, login, the STOMP socket, server-sent events and the REST
// API. Everything it shows comes from the store, the hub and the live feed.
package dashboard

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/limit"
	"github.com/telemetry-hub/telemetry-hub/hub"
	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/hub/socket"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// Config is what a Dashboard is made of.
type Config struct {
	Store       *store.Store
	Hub         *hub.Hub
	Feed        *live.Feed
	Certificate *certificate.Certificate
	Names       []string // host names it is reached by, besides the machine's and those in the certificate
	Origins     []string // whose pages may use the API with a key, such as https://plant.example; none but the hub's own
	Version     string
	Logger      *slog.Logger
	Now         func() time.Time // nil: that of Store
}

// Dashboard serves everything that is not for devices.
type Dashboard struct {
	store       *store.Store
	hub         *hub.Hub
	feed        *live.Feed
	certificate *certificate.Certificate
	names       []string
	origins     []string
	version     string
	log         *slog.Logger
	limited     *hub.LimitedLog // for what anybody can provoke
	now         func() time.Time
	page        *page
	api         *api.API
	throttle    *limit.Throttle
	logins      *limit.Turns // passwords being checked
	mux         *http.ServeMux

	// viewers
	viewers  *viewers
	upgrader *socket.Upgrader
	livePace livePace
	elapsed  func() time.Duration // monotonic
}

// New returns a dashboard.
func New(c Config) (*Dashboard, error) {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = c.Store.Clock().Now
	}
	d := &Dashboard{
		store: c.Store, hub: c.Hub, feed: c.Feed, certificate: c.Certificate, version: c.Version, log: c.Logger, now: c.Now,
		names: ownNames(c.Names), origins: c.Origins, mux: http.NewServeMux(),
		logins:   limit.NewTurns(1, 1, maxLoginsWaiting),
		throttle: limit.NewThrottle(c.Store.Clock().View().Now), // never follows a clock that is set: whoever has to wait a minute, waits a minute
		api: api.New(api.Config{
			Store: c.Store, Hub: c.Hub, Feed: c.Feed, Certificate: c.Certificate, Version: c.Version, Logger: c.Logger, Now: c.Now,
		}),
	}
	for _, origin := range c.Origins {
		if err := new(http.CrossOriginProtection).AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("an origin is like https://plant.example:8443: %w", err)
		}
	}
	var err error
	if d.page, err = embedded(); err != nil {
		return nil, err
	}
	d.pageRoutes()
	d.accountRoutes()
	d.api.Register(d.mux, d.identifyCaller)
	d.socketRoutes()
	return d, nil
}

// Handler answers every request that is not a device's.
func (d *Dashboard) Handler() http.Handler { return protect(d.guard(d.mux)) }

// API is what the dashboard answers programs with.
func (d *Dashboard) API() *api.API { return d.api }

// Run serves the viewers' sockets until ctx ends; then all of them are closed.
func (d *Dashboard) Run(ctx context.Context) error {
	defer d.api.End() // which the line below may be too late for
	defer context.AfterFunc(ctx, d.api.End)()
	d.viewers.run(ctx, d.livePace.look, d.limited.Summarize)
	return nil
}
