package dashboard

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/stomp"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub"
	"github.com/telemetry-hub/telemetry-hub/hub/socket"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

// liveProtocol is the WebSocket subprotocol of /v1/live (registered at IANA).
const liveProtocol = "v12.stomp"

// What a viewer may cost.
const (
	maxBody          = 64 << 10         // bytes of a STOMP frame's body
	maxReceived      = maxBody + 32<<10 // bytes of a WebSocket message: a frame with such a body, and its head
	maxEarly         = 4 << 10          // bytes before CONNECTED
	maxSubscriptions = 256              // of one connection
	maxDestination   = 256              // bytes
	sendBuffer       = 128 << 10        // bytes that the kernel may hold for a viewer
)

// frameLimits bounds one STOMP frame.
var frameLimits = stomp.Limits{Headers: 64, Line: 4 << 10, Body: maxBody}

// livePace holds the times of live connections; tests shorten them.
type livePace struct {
	connect time.Duration // from the handshake to CONNECT
	look    time.Duration // between two looks at all viewers
	beat    time.Duration // between the hub's heart-beats, and those it wants, at least
	silence time.Duration // nobody is given up earlier: browsers let hidden pages run once a minute
	write   time.Duration // how long a viewer may take nothing of what is written
	closing time.Duration // from our Close frame to the end, answered or not
	ping    time.Duration // between two comments in an event stream, for proxies that give up what is idle
}

var defaultLivePace = livePace{
	connect: 10 * time.Second,
	look:    time.Second,
	beat:    10 * time.Second,
	silence: 90 * time.Second,
	write:   10 * time.Second,
	closing: 800 * time.Millisecond,
	ping:    15 * time.Second,
}

func (d *Dashboard) socketRoutes() {
	d.livePace = defaultLivePace
	d.viewers = newViewers(defaultViewerLimits)
	began := time.Now()
	d.elapsed = func() time.Duration { return time.Since(began) }
	d.limited = hub.NewLimitedLog(d.log, d.elapsed)
	d.upgrader = newLiveUpgrader(d.livePace, d.elapsed)
	d.mux.HandleFunc("GET /v1/live", d.serveLive)
	d.mux.HandleFunc("GET /v1/events", d.serveEvents)
}

func newLiveUpgrader(p livePace, elapsed func() time.Duration) *socket.Upgrader {
	return socket.NewUpgrader(socket.Options{
		Protocol: liveProtocol, MaxReceived: maxReceived, UTF8: true, WriteTimeout: p.write, Elapsed: elapsed,
	})
}

// serveLive opens a STOMP connection. Who comes without credentials may still send them with CONNECT.
func (d *Dashboard) serveLive(w http.ResponseWriter, r *http.Request) {
	if !socket.Check(w, r, liveProtocol, true) {
		return
	}
	id, ok := d.identifyViewer(w, r)
	if !ok {
		return
	}
	var place *place
	var err error
	if id != nil {
		place, err = d.viewers.enter(accountOf(*id))
	} else {
		place, err = d.viewers.enterAnonymous(network(r.RemoteAddr))
	}
	if err != nil {
		full(w, err)
		return
	}
	conn, err := d.upgrader.Upgrade(w, r)
	if err != nil {
		place.leave()
		d.log.Debug("handshake failed", "address", r.RemoteAddr, "error", err)
		return
	}
	d.watch(conn, place, id, r)
}

// watch starts a connection for which a place was taken. The identity is nil for who has yet to say who it is.
func (d *Dashboard) watch(conn *socket.Conn, place *place, id *accounts.Identity, r *http.Request) {
	c := newLiveConn(d, conn, place, r)
	if id != nil {
		c.known(*id)
	}
	if !d.viewers.add(place, c) {
		c.feed.Close()
		conn.TurnAway(device.CloseGoingAway, hubStops, d.livePace.closing)
		place.leave()
		return
	}
	go c.run()
}

// identifyViewer finds out who wants to see live data: by an API key in Authorization, or by the session cookie, which
// counts only if a page of the hub sent it. The identity is nil for who sends neither. It answers whom it does not let in.
func (d *Dashboard) identifyViewer(w http.ResponseWriter, r *http.Request) (id *accounts.Identity, ok bool) {
	key, hasKey := bearer(r)
	secret := sessionSecret(r)
	own := sameOrigin(r)
	if !own && (r.Header.Get("Origin") != "" || !hasKey && secret != "") {
		d.limited.Warn("request refused", "reason", "origin", "origin", r.Header.Get("Origin"), "address", r.RemoteAddr)
		api.Fail(w, http.StatusForbidden, "foreign_origin", "live data is not for pages of another origin",
			"open the hub's own page; a script sends an API key and no Origin: Authorization: Bearer KEY")
		return nil, false
	}
	via := accounts.ViaKey
	if !hasKey {
		if secret == "" {
			return nil, true
		}
		via, key = accounts.ViaSession, secret
	}
	identity, err := d.identifyAs(via, key)
	if err != nil {
		d.api.Unauthenticated(w)
		return nil, false
	}
	if !identity.Role.Allows(accounts.RoleViewer) {
		api.Fail(w, http.StatusForbidden, "forbidden", "this needs the role viewer", "ask an admin for the role")
		return nil, false
	}
	return &identity, true
}

// full answers whom there is no place for. They should not all come back at once.
func full(w http.ResponseWriter, err error) {
	status := http.StatusServiceUnavailable
	if errors.Is(err, errTooManyOfOne) {
		status = http.StatusTooManyRequests
	}
	w.Header().Set("Retry-After", strconv.Itoa(5+rand.IntN(25)))
	api.Fail(w, status, "too_many_viewers", err.Error(), "close a page that is not looked at")
}
