package dashboard

import (
	"net/http"
	"net/url"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store"
)

func (d *Dashboard) serveDevices(w http.ResponseWriter, r *http.Request, _ store.Identity) {
	q := readQuery(r)
	params := map[string]string{}
	for _, name := range []string{"q", "state", "label", "sort", "first", "count"} {
		params[name] = q.text(name)
	}
	err := q.end()
	var list live.List
	if err == nil {
		list, err = live.ParseList(params)
	}
	if err != nil {
		d.failed(w, err)
		return
	}
	patient(w)
	answer(w, http.StatusOK, d.feed.Devices(list))
}

// deviceAnswer is all that is known of a device but its readings.
type deviceAnswer struct {
	Now      int64             `json:"now"`
	Device   live.Row          `json:"device"` // with all its values
	Created  int64             `json:"created"`
	Kind     string            `json:"kind"`
	Labels   map[string]string `json:"labels,omitempty"`
	Revoked  bool              `json:"revoked"`
	Tokens   []tokenAnswer     `json:"tokens"` // those valid, the newest last
	Presence presenceAnswer    `json:"presence"`
	Books    booksAnswer       `json:"books"`
	Schema   *live.Schema      `json:"schema"` // null: none announced
	Events   []live.Event      `json:"events"` // the newest 20, newest first
}

// tokenAnswer is a valid token; nobody but the device has the token itself.
type tokenAnswer struct {
	Created   int64 `json:"created"`
	FirstUsed int64 `json:"first_used,omitempty"`
	Expires   int64 `json:"expires,omitempty"` // absent: never
}

// presenceAnswer is what is known of a device's connection since the hub started.
type presenceAnswer struct {
	Connected bool   `json:"connected"`
	Since     int64  `json:"since,omitempty"` // begin of the present or, if there is none, of the last connection
	LastSeen  int64  `json:"last_seen,omitempty"`
	Address   string `json:"address,omitempty"`
	Skew      int64  `json:"skew_ms"` // the device's clock minus the hub's
}

// booksAnswer says what became of a device's frames.
type booksAnswer struct {
	Frames       uint64 `json:"frames"`
	Readings     uint64 `json:"readings"`
	Duplicates   uint64 `json:"duplicates"`
	Rejected     uint64 `json:"rejected"`
	Lost         uint64 `json:"lost"`
	Holes        uint64 `json:"holes"`
	Streams      int    `json:"streams"`
	LastData     int64  `json:"last_data,omitempty"`
	LastReceived int64  `json:"last_received,omitempty"`
}

func (d *Dashboard) serveDevice(w http.ResponseWriter, r *http.Request, _ store.Identity) {
	if !d.noQuery(w, r) {
		return
	}
	dev, err := d.store.Device(r.PathValue("id"))
	if err != nil {
		d.failed(w, err)
		return
	}
	detail, ok := d.feed.Device(dev.ID)
	if !ok { // removed meanwhile
		d.failed(w, store.ErrNoDevice)
		return
	}
	books, p := d.store.Books(dev.ID), d.hub.Presence(dev.ID)
	out := deviceAnswer{
		Now: millis(d.now()), Device: detail.Device, Created: millis(dev.Created), Kind: dev.Kind, Labels: dev.Labels, Revoked: dev.Revoked,
		Tokens: []tokenAnswer{}, Schema: detail.Schema, Events: detail.Events,
		Presence: presenceAnswer{
			Connected: p.Connected, Since: millis(p.Since), LastSeen: millis(later(p.LastSeen, books.LastReceived)), Address: p.Address,
			Skew: p.ClockSkew.Milliseconds(),
		},
		Books: booksAnswer{
			Frames: books.Frames, Readings: books.Readings, Duplicates: books.Duplicates, Rejected: books.Rejected, Lost: books.Lost,
			Holes: books.Holes, Streams: books.Streams, LastData: millis(books.LastData), LastReceived: millis(books.LastReceived),
		},
	}
	for _, t := range dev.Tokens {
		out.Tokens = append(out.Tokens, tokenAnswer{Created: millis(t.Created), FirstUsed: millis(t.FirstUsed), Expires: millis(t.Expires)})
	}
	answer(w, http.StatusOK, out)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// credentialsAnswer is all that a device has to be given. The token is shown once.
type credentialsAnswer struct {
	ID          string `json:"id"`
	Token       string `json:"token"`
	URL         string `json:"url"`
	Certificate string `json:"certificate"` // PEM of what the device has to trust: the hub's own CA or, without, its certificate with the chain
	PublicKey   string `json:"public_key"`  // SHA-256 of the hub's public key in hex, for a device that pins it instead
}

// credentials describes the hub as the caller reaches it.
func (d *Dashboard) credentials(r *http.Request, id, token string) credentialsAnswer {
	hubs := d.certificate.Info()
	return credentialsAnswer{
		ID: id, Token: token, URL: "wss://" + r.Host + "/v1/device",
		Certificate: hubs.Trust(), PublicKey: hubs.PublicKey,
	}
}

func (d *Dashboard) addDevice(w http.ResponseWriter, r *http.Request, by store.Identity) {
	var in store.NewDevice
	if !d.noQuery(w, r) || !readJSON(w, r, &in) {
		return
	}
	made, err := d.store.AddDevices([]store.NewDevice{in})
	if err != nil {
		d.failed(w, err)
		return
	}
	d.log.Info("device added", "device", in.ID, "by", by.Name)
	d.audit(actorOf(by, r), "device added", in.ID, "")
	w.Header().Set("Location", "/api/v1/devices/"+url.PathEscape(in.ID))
	answer(w, http.StatusCreated, d.credentials(r, made[0].Device, made[0].Token))
}

func (d *Dashboard) rotateToken(w http.ResponseWriter, r *http.Request, by store.Identity) {
	if !d.noQuery(w, r) {
		return
	}
	id := r.PathValue("id")
	before, err := d.store.Device(id)
	if err != nil {
		d.failed(w, err)
		return
	}
	token, err := d.store.RotateToken(id)
	if err != nil {
		d.failed(w, err)
		return
	}
	d.log.Info("token rotated", "device", id, "by", by.Name)
	d.audit(actorOf(by, r), "device token rotated", id, "")
	// A device that had two tokens has lost one, and may be connected with it. It comes back at once if it has the other.
	if len(before.Tokens) > 1 {
		d.hub.Disconnect(id, device.CloseRestart, "a token was replaced; connect again")
	}
	answer(w, http.StatusOK, d.credentials(r, id, token))
}

func (d *Dashboard) revokeDevice(w http.ResponseWriter, r *http.Request, by store.Identity) {
	if !d.noQuery(w, r) {
		return
	}
	id := r.PathValue("id")
	if err := d.store.RevokeDevice(id); err != nil {
		d.failed(w, err)
		return
	}
	d.log.Info("device revoked", "device", id, "by", by.Name)
	d.audit(actorOf(by, r), "device revoked", id, "")
	d.hub.Disconnect(id, device.CloseRevoked, "the device was revoked")
	w.WriteHeader(http.StatusNoContent)
}

func (d *Dashboard) removeDevice(w http.ResponseWriter, r *http.Request, by store.Identity) {
	if !d.noQuery(w, r) {
		return
	}
	id := r.PathValue("id")
	err := d.store.RemoveDevice(id)
	if _, gone := d.store.Device(id); gone != nil { // also when something behind that has failed
		d.hub.Disconnect(id, device.CloseRevoked, "the device was removed")
	}
	if err != nil {
		d.failed(w, err)
		return
	}
	d.log.Info("device removed", "device", id, "by", by.Name)
	d.audit(actorOf(by, r), "device removed", id, "")
	w.WriteHeader(http.StatusNoContent)
}
