// Package dashboard is what people and scripts touch: the page, login, the STOMP socket, server-sent events and the REST
// API. Everything it shows comes from the store, the hub and the live feed.
package dashboard

import (
	"context"
	"log/slog"
	"net/http"
	"time"

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
	version     string
	log         *slog.Logger
	strangers   *hub.Strangers // for what anybody can provoke
	now         func() time.Time
	page        *page
	throttle    *throttle
	logins      *turns // passwords being checked
	sums        *turns // requests that sum up readings
	downloads   *turns // of raw readings
	waits       *turns // for commands to be settled
	commanders  *throttle
	ending      context.Context // ends with Run
	end         context.CancelFunc
	mux         *http.ServeMux

	// viewers
	room     *room
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
	steady := c.Store.Clock().View().Now // never follows a clock that is set: whoever has to wait a minute, waits a minute
	d := &Dashboard{
		store: c.Store, hub: c.Hub, feed: c.Feed, certificate: c.Certificate, version: c.Version, log: c.Logger, now: c.Now,
		names: ownNames(c.Names), throttle: newThrottle(steady), mux: http.NewServeMux(),
		logins: newTurns(1, 1, maxLoginsWaiting), sums: newTurns(maxSums, maxSums, maxSumsWaiting),
		downloads: newTurns(maxDownloads, maxDownloadsOfOne, 0), waits: newTurns(maxWaits, maxWaitsOfOne, 0), commanders: newThrottle(steady),
	}
	d.ending, d.end = context.WithCancel(context.Background())
	var err error
	if d.page, err = embedded(); err != nil {
		return nil, err
	}
	d.pageRoutes()
	d.accountRoutes()
	d.apiRoutes()
	d.commandRoutes()
	d.socketRoutes()
	return d, nil
}

// Handler answers every request that is not a device's.
func (d *Dashboard) Handler() http.Handler { return protect(d.guard(d.mux)) }

// Run serves the viewers' sockets until ctx ends; then all of them are closed.
func (d *Dashboard) Run(ctx context.Context) error {
	defer d.end() // which the line below may be too late for
	defer context.AfterFunc(ctx, d.end)()
	d.room.run(ctx, d.livePace.look, d.strangers.Settle)
	return nil
}
