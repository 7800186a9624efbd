package control

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// Device is a registered device, what is known of its connection, and its books. Times are zero where nothing is known;
// those of a connection are known from the start of the hub on.
type Device struct {
	ID             string            `json:"id"`
	Kind           string            `json:"kind"` // measurement name of its readings
	Labels         map[string]string `json:"labels,omitempty"`
	Created        time.Time         `json:"created"`
	Revoked        bool              `json:"revoked"`
	Tokens         []Token           `json:"tokens,omitempty"` // those valid, the newest last
	Firmware       string            `json:"firmware,omitempty"`
	Model          string            `json:"model,omitempty"`
	Connected      bool              `json:"connected"`
	ConnectedSince time.Time         `json:"connected_since,omitzero"`
	Address        string            `json:"address,omitempty"`    // the connection's other end
	ClockSkew      float64           `json:"clock_skew,omitempty"` // s the device's clock is ahead of the hub's
	Rivals         []string          `json:"rivals,omitempty"`     // hosts whose connections take over from each other
	Takeovers      int               `json:"takeovers,omitempty"`  // how often, lately
	LastSeen       time.Time         `json:"last_seen,omitzero"`
	LastData       time.Time         `json:"last_data,omitzero"` // time of its newest reading
	Books          store.Books       `json:"books"`
	Schema         *Schema           `json:"schema,omitempty"` // GET /devices/{id} only
}

// Token is a valid token; the token itself is kept by nobody but the device.
type Token struct {
	Created   time.Time `json:"created"`
	FirstUsed time.Time `json:"first_used,omitzero"`
	Expires   time.Time `json:"expires,omitzero"` // zero: never
}

// Schema is what the device measures and what it can be told.
type Schema struct {
	Channels []Channel `json:"channels"`
	Commands []string  `json:"commands,omitempty"` // names
}

// Channel is one measured quantity.
type Channel struct {
	ID       uint16 `json:"id"`
	Name     string `json:"name"`
	Type     string `json:"type"`
	Unit     string `json:"unit,omitempty"`  // UCUM
	Scale    int8   `json:"scale,omitempty"` // decimal exponent of an int
	Interval uint32 `json:"interval_ms,omitempty"`
	Writable bool   `json:"writable,omitempty"`
}

func (c *handler) describe(d *store.Device) Device {
	out := Device{
		ID: d.ID, Kind: d.Kind, Labels: d.Labels, Created: d.Created, Revoked: d.Revoked,
		Firmware: d.Firmware, Model: d.Model, Books: c.store.Books(d.ID),
	}
	for _, t := range d.Tokens {
		out.Tokens = append(out.Tokens, Token{Created: t.Created, FirstUsed: t.FirstUsed, Expires: t.Expires})
	}
	out.LastSeen, out.LastData = out.Books.LastReceived, out.Books.LastData
	if c.hub == nil {
		return out
	}
	p := c.hub.Presence(d.ID)
	out.Connected, out.Address, out.ClockSkew = p.Connected, p.Address, p.ClockSkew.Seconds()
	if p.Takeovers > 0 {
		out.Rivals, out.Takeovers = slices.Compact(p.Rivals[:]), p.Takeovers
	}
	if p.Connected {
		out.ConnectedSince = p.Since
	}
	if p.LastSeen.After(out.LastSeen) {
		out.LastSeen = p.LastSeen
	}
	return out
}

func (c *handler) devices(w http.ResponseWriter, _ *http.Request) {
	list := []Device{}
	for _, d := range c.store.Devices() {
		list = append(list, c.describe(&d))
	}
	answer(w, list)
}

func (c *handler) device(w http.ResponseWriter, r *http.Request) {
	d, err := c.store.Device(r.PathValue("id"))
	if err != nil {
		fail(w, err)
		return
	}
	out := c.describe(&d)
	if s, ok := c.store.DeviceSchema(d.ID); ok {
		out.Schema = describeSchema(s)
	}
	answer(w, out)
}

func describeSchema(s *device.Schema) *Schema {
	out := &Schema{}
	for _, ch := range s.Channels {
		out.Channels = append(out.Channels, Channel{
			ID: ch.ID, Name: ch.Name, Type: ch.Type.String(), Unit: ch.Unit, Scale: ch.Scale, Interval: ch.Interval, Writable: ch.Writable,
		})
	}
	for _, cmd := range s.Commands {
		out.Commands = append(out.Commands, cmd.Name)
	}
	return out
}

func (c *handler) addDevices(w http.ResponseWriter, r *http.Request) {
	var devices []store.NewDevice
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&devices); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			fail(w, &Error{Status: http.StatusRequestEntityTooLarge, Text: "too many devices at once", Hint: "add them in several steps"})
			return
		}
		fail(w, badRequest("read the devices to add: %v", err))
		return
	}
	creds, err := c.store.AddDevices(devices)
	ids := make([]string, 0, len(creds))
	for _, cred := range creds {
		ids = append(ids, cred.Device)
	}
	c.auditDevices(r, "device added", ids...)
	respond(w, creds, err)
}

func (c *handler) rotateToken(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	before, err := c.store.Device(id)
	if err != nil {
		fail(w, err)
		return
	}
	token, err := c.store.RotateToken(id)
	if err != nil {
		fail(w, err)
		return
	}
	c.auditDevices(r, "device token rotated", id)
	// A device that had two tokens has lost one, and may be connected with it. It comes back at once if it has the other.
	if len(before.Tokens) > 1 {
		c.disconnect(id, device.CloseRestart, "a token was replaced; connect again")
	}
	answer(w, store.Credential{Device: id, Token: token})
}

func (c *handler) revokeDevice(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if err := c.store.RevokeDevice(id); err != nil {
		fail(w, err)
		return
	}
	c.auditDevices(r, "device revoked", id)
	c.disconnect(id, device.CloseRevoked, "the device was revoked")
	w.WriteHeader(http.StatusNoContent)
}

func (c *handler) removeDevice(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	err := c.store.RemoveDevice(id)
	if _, gone := c.store.Device(id); gone != nil { // also when something behind that has failed
		c.disconnect(id, device.CloseRevoked, "the device was removed")
	}
	if err != nil {
		fail(w, err)
		return
	}
	c.auditDevices(r, "device removed", id)
	w.WriteHeader(http.StatusNoContent)
}

func (c *handler) disconnect(id string, code device.CloseCode, text string) {
	if c.hub != nil {
		c.hub.Disconnect(id, code, text)
	}
}
