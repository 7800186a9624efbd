package api

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub"
	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store"
)

func (a *API) serveDevices(w http.ResponseWriter, r *http.Request, _ Caller) {
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
		a.Failed(w, err)
		return
	}
	patient(w)
	Answer(w, http.StatusOK, a.feed.Devices(list))
}

// Device is all that is known of a device but its readings.
type Device struct {
	Now      int64             `json:"now"`
	Device   live.Row          `json:"device"` // with all its values
	Created  int64             `json:"created"`
	Kind     string            `json:"kind"`
	Labels   map[string]string `json:"labels,omitempty"`
	Revoked  bool              `json:"revoked"`
	Tokens   []Token           `json:"tokens"` // those valid, the newest last
	Presence Presence          `json:"presence"`
	Books    Books             `json:"books"`
	Schema   *live.Schema      `json:"schema"` // null: none announced
	Events   []live.Event      `json:"events"` // the newest 20, newest first
}

// Token is a valid token; nobody but the device has the token itself.
type Token struct {
	Created   int64 `json:"created"`
	FirstUsed int64 `json:"first_used,omitempty"`
	Expires   int64 `json:"expires,omitempty"` // absent: never
}

// Presence is what is known of a device's connection since the hub started.
type Presence struct {
	Connected bool   `json:"connected"`
	Since     int64  `json:"since,omitempty"` // begin of the present or, if there is none, of the last connection
	LastSeen  int64  `json:"last_seen,omitempty"`
	Address   string `json:"address,omitempty"`
	Skew      int64  `json:"skew_ms"` // the device's clock minus the hub's
}

// Books says what became of a device's frames.
type Books struct {
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

func (a *API) serveDevice(w http.ResponseWriter, r *http.Request, _ Caller) {
	if !a.noQuery(w, r) {
		return
	}
	dev, err := a.store.Device(r.PathValue("id"))
	if err != nil {
		a.Failed(w, err)
		return
	}
	detail, ok := a.feed.Device(dev.ID)
	if !ok { // removed meanwhile
		a.Failed(w, store.ErrNoDevice)
		return
	}
	books, p := a.store.Books(dev.ID), hub.Presence{}
	if a.hub != nil {
		p = a.hub.Presence(dev.ID)
	}
	out := Device{
		Now: Millis(a.now()), Device: detail.Device, Created: Millis(dev.Created), Kind: dev.Kind, Labels: dev.Labels, Revoked: dev.Revoked,
		Tokens: []Token{}, Schema: detail.Schema, Events: detail.Events,
		Presence: Presence{
			Connected: p.Connected, Since: Millis(p.Since), LastSeen: Millis(later(p.LastSeen, books.LastReceived)), Address: p.Address,
			Skew: p.ClockSkew.Milliseconds(),
		},
		Books: Books{
			Frames: books.Frames, Readings: books.Readings, Duplicates: books.Duplicates, Rejected: books.Rejected, Lost: books.Lost,
			Holes: books.Holes, Streams: books.Streams, LastData: Millis(books.LastData), LastReceived: Millis(books.LastReceived),
		},
	}
	for _, t := range dev.Tokens {
		out.Tokens = append(out.Tokens, Token{Created: Millis(t.Created), FirstUsed: Millis(t.FirstUsed), Expires: Millis(t.Expires)})
	}
	Answer(w, http.StatusOK, out)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Credentials is all that a device has to be given. The token is shown once.
type Credentials struct {
	ID          string `json:"id"`
	Token       string `json:"token"`
	URL         string `json:"url"`
	Certificate string `json:"certificate"` // PEM of what the device has to trust: the hub's own CA or, without, its certificate with the chain
	PublicKey   string `json:"public_key"`  // SHA-256 of the hub's public key in hex, for a device that pins it instead
}

// credentials describes the hub as the caller reaches it.
func (a *API) credentials(r *http.Request, by Caller, id, token string) (Credentials, error) {
	hubs, err := a.certificateInfo()
	if err != nil && !errors.Is(err, certificate.ErrNone) {
		return Credentials{}, err
	}
	out := Credentials{ID: id, Token: token}
	if err == nil {
		out.Certificate, out.PublicKey = hubs.Trust(), hubs.PublicKey
	}
	if by.Via != ViaSocket {
		out.URL = "wss://" + r.Host + "/v1/device"
	}
	return out, nil
}

func (a *API) answerCredentials(w http.ResponseWriter, r *http.Request, by Caller, status int, id, token string) {
	out, err := a.credentials(r, by, id, token)
	if err != nil {
		a.Failed(w, err)
		return
	}
	Answer(w, status, out)
}

// disconnect closes a device's connection, if it has one.
func (a *API) disconnect(id string, code device.CloseCode, text string) {
	if a.hub != nil {
		a.hub.Disconnect(id, code, text)
	}
}

func (a *API) addDevice(w http.ResponseWriter, r *http.Request, by Caller) {
	var in store.NewDevice
	if !a.noQuery(w, r) || !ReadJSON(w, r, &in) {
		return
	}
	made, err := a.store.AddDevices([]store.NewDevice{in})
	if err != nil {
		a.Failed(w, err)
		return
	}
	a.log.Info("device added", "device", in.ID, "by", by.Name)
	a.audit(by, "device added", in.ID, "")
	w.Header().Set("Location", "/api/v1/devices/"+url.PathEscape(in.ID))
	a.answerCredentials(w, r, by, http.StatusCreated, made[0].Device, made[0].Token)
}

func (a *API) rotateToken(w http.ResponseWriter, r *http.Request, by Caller) {
	if !a.noQuery(w, r) {
		return
	}
	id := r.PathValue("id")
	before, err := a.store.Device(id)
	if err != nil {
		a.Failed(w, err)
		return
	}
	token, err := a.store.RotateToken(id)
	if err != nil {
		a.Failed(w, err)
		return
	}
	a.log.Info("token rotated", "device", id, "by", by.Name)
	a.audit(by, "device token rotated", id, "")
	// A device that had two tokens has lost one, and may be connected with it. It comes back at once if it has the other.
	if len(before.Tokens) > 1 {
		a.disconnect(id, device.CloseRestart, "a token was replaced; connect again")
	}
	a.answerCredentials(w, r, by, http.StatusOK, id, token)
}

func (a *API) revokeDevice(w http.ResponseWriter, r *http.Request, by Caller) {
	if !a.noQuery(w, r) {
		return
	}
	id := r.PathValue("id")
	if err := a.store.RevokeDevice(id); err != nil {
		a.Failed(w, err)
		return
	}
	a.log.Info("device revoked", "device", id, "by", by.Name)
	a.audit(by, "device revoked", id, "")
	a.disconnect(id, device.CloseRevoked, "the device was revoked")
	w.WriteHeader(http.StatusNoContent)
}

func (a *API) removeDevice(w http.ResponseWriter, r *http.Request, by Caller) {
	if !a.noQuery(w, r) {
		return
	}
	id := r.PathValue("id")
	err := a.store.RemoveDevice(id)
	if _, gone := a.store.Device(id); gone != nil { // also when something behind that has failed
		a.disconnect(id, device.CloseRevoked, "the device was removed")
	}
	if err != nil {
		a.Failed(w, err)
		return
	}
	a.log.Info("device removed", "device", id, "by", by.Name)
	a.audit(by, "device removed", id, "")
	w.WriteHeader(http.StatusNoContent)
}
