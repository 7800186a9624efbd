// Package hub is the running hub: the listener devices connect to, and one session for each connected device.
//
// A connection's way: the gate bounds what strangers cost (listener.go), the handshake finds out whose it is and whether
// there is room (handshake.go), then a session reads it in its own goroutine (session.go, messages.go) and hands frames to
// the store. What the hub has to say, it says in a second goroutine that lives only while there is something to say
// (writer.go). Once a second all sessions are looked after: who is silent, who misses frames (housekeeping.go).
//
// Whatever a peer does, it delays only its own two goroutines: the store's pending bytes are bounded by the store, writes
// end at a deadline, and reading a device too slowly is left to TCP to tell it.
package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/hub/socket"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
)

// Config is what a Hub is made of.
type Config struct {
	Store  *store.Store
	Limits Limits
	Logger *slog.Logger     // nil: slog.Default
	Now    func() time.Time // wall clock; nil: that of Store
	Name   string           // realm shown to devices that fail to authenticate; "": telemetry-hub
	Feed   *live.Feed       // learns who connects and disconnects; may be nil
	Other  http.Handler     // serves every path but device.Path, over HTTP/1.1; nil: they are answered 404
}

// Hub accepts device connections and hands what they send to the store.
type Hub struct {
	// static
	store    *store.Store
	limits   Limits
	pace     pace
	log      *slog.Logger
	now      func() time.Time
	name     string
	feed     *live.Feed // may be nil
	other    http.Handler
	began    time.Time // what elapsed counts from
	upgrader *socket.Upgrader

	// safe by themselves
	decoded   pool[device.Data]       // the memory of DATA messages being decoded
	outputs   pool[output]            // the memory of messages being written
	connects  *limiters[string]       // by device
	schemas   *limiters[string]       // new ones, by device
	failures  *limiters[netip.Prefix] // by address
	sessions  *sessions
	capacity  capacityAlarms
	limited   *LimitedLog
	takeovers takeovers
}

// pace holds the times that are no matter of taste; tests shorten them.
type pace struct {
	patience     time.Duration // with a peer that keeps the hub waiting while another can't be served
	housekeeping time.Duration // between two looks at all sessions
	hello        time.Duration // from the handshake to HELLO
	ackDelay     time.Duration // granted to HELLO at most
	closing      time.Duration // from our Close frame to the end, answered or not
	holes        time.Duration // holes must be this old, without progress, before RESEND
	resend       time.Duration // least time between two RESENDs
	resendMost   time.Duration // the same, after fruitless ones
}

// returnsPerSecond is the rate at which devices are asked to come back to a hub that stops. A small gateway does as many TLS
// handshakes with half of its processors.
const returnsPerSecond = 250

// spares is how many buffers of a kind are kept. More sessions than this seldom work at the same moment.
const spares = 16

var defaultPace = pace{
	patience:     3 * time.Second, // some round trips of a bad radio link
	housekeeping: time.Second,
	hello:        10 * time.Second,
	ackDelay:     5 * time.Second,
	closing:      800 * time.Millisecond, // a revoked device is gone within a second
	holes:        5 * time.Second,
	resend:       30 * time.Second,
	resendMost:   16 * time.Minute,
}

// New returns a hub. It serves when Run is called.
func New(c Config) *Hub {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = c.Store.Clock().Now
	}
	if c.Name == "" {
		c.Name = "telemetry-hub"
	}
	if c.Other == nil {
		c.Other = http.HandlerFunc(nothingElse)
	}
	limits := c.Limits.withDefaults()
	h := &Hub{
		store: c.Store, limits: limits, pace: defaultPace, log: c.Logger, now: c.Now, name: c.Name, feed: c.Feed, other: c.Other,
		began:    time.Now(),
		decoded:  make(pool[device.Data], spares),
		outputs:  make(pool[output], spares),
		connects: newLimiters[string](limits.ConnectsPerDevice, 20),
		schemas:  newLimiters[string](float64(device.MaxNewSchemas)/(24*time.Hour).Seconds(), device.MaxNewSchemas),
		failures: newLimiters[netip.Prefix](limits.FailuresPerAddress, 10),
		sessions: newSessions(limits),
	}
	h.limited = NewLimitedLog(h.log, h.elapsed)
	h.upgrader = newUpgrader(limits, h.elapsed)
	return h
}

// elapsed is the time since New, unmoved by changes of the wall clock.
func (h *Hub) elapsed() time.Duration { return time.Since(h.began) }

// cipherSuites are those of TLS 1.2 with forward secrecy and authenticated encryption (RFC 9325 §4.2). Go would also offer
// two in CBC mode. Those of TLS 1.3 are all like that.
var cipherSuites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// Run serves ln until ctx ends, then asks all devices to leave and waits until their sessions have ended, about a second.
// tlsConfig must have a certificate. Run is called once; it closes ln. The error is nil unless serving failed.
func (h *Hub) Run(ctx context.Context, ln net.Listener, tlsConfig *tls.Config) error {
	g := newGate(ln, h)
	config := g.takeTurns(tlsConfig)
	config.MinVersion, config.CipherSuites = max(config.MinVersion, tls.VersionTLS12), cipherSuites
	var protocols http.Protocols
	protocols.SetHTTP1(true) // a WebSocket needs it, and a client that is offered HTTP/2 takes it
	srv := &http.Server{
		Handler:           h.Handler(),
		TLSConfig:         config,
		Protocols:         &protocols,
		ReadHeaderTimeout: h.limits.HandshakeTimeout, // for TLS too
		WriteTimeout:      h.limits.WriteTimeout,
		IdleTimeout:       h.limits.HandshakeTimeout,
		MaxHeaderBytes:    8 << 10,
		ConnContext:       withConn,
		ErrorLog:          log.New(serverLog{h}, "", 0),
	}

	h.store.Outages.HubStarted()
	var tasks sync.WaitGroup
	housekeeping, stopHousekeeping := context.WithCancel(context.WithoutCancel(ctx))
	defer h.watchCommands()()
	defer h.watchClock()()
	tasks.Go(func() { h.housekeep(housekeeping) })
	tasks.Go(g.listen)
	served := make(chan error, 1)
	tasks.Go(func() { served <- srv.ServeTLS(g, "", "") })

	var err error
	select {
	case <-ctx.Done():
	case err = <-served:
	}
	tasks.Go(func() {
		// Handshakes that are under way get their answer, if it does not take long.
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.pace.closing)
		defer cancel()
		if srv.Shutdown(ending) != nil {
			_ = srv.Close()
		}
	})
	h.store.Outages.HubStopping()
	h.sendAway()
	stopHousekeeping()
	tasks.Wait()
	return err
}

// sendAway closes all sessions, all at once, and waits until they have ended.
func (h *Hub) sendAway() {
	h.sessions.stop()
	open := h.sessions.list()
	away := &device.GoAway{Reason: device.GoAwayShutdown, Text: "the hub stops"}
	spread := time.Duration(len(open)) * time.Second / returnsPerSecond
	away.MinMS = 1000
	away.MaxMS = uint32(min(2*time.Second+spread, 10*time.Minute).Milliseconds())
	for _, s := range open {
		s.leave(away)
	}
	h.sessions.running.Wait() // each is cut if its device does not answer
}

// Disconnect closes the live connection of a device, if it has one, with the code and a text for its log. It is gone
// within a second. Call it after the device has been revoked or removed.
func (h *Hub) Disconnect(deviceID string, code device.CloseCode, text string) {
	if s := h.sessions.find(deviceID); s != nil {
		s.close(code, text)
	}
	if _, err := h.store.Devices.Get(deviceID); errors.Is(err, devices.ErrNoDevice) {
		h.sessions.forget(deviceID)
	}
}
