package api

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
)

// Credentials is all that a device has to be given. The token is shown once.
type Credentials struct {
	ID          string `json:"id"`
	Token       string `json:"token"`
	URL         string `json:"url,omitempty"`         // absent over the Unix socket
	Certificate string `json:"certificate,omitempty"` // absent before the hub's first start; PEM of what the device has to trust: the hub's own CA or, without, its certificate with the chain
	PublicKey   string `json:"public_key,omitempty"`  // likewise; SHA-256 of the hub's public key in hex, for a device that pins it instead
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
	var in devices.NewDevice
	if !a.noQuery(w, r) || !ReadJSON(w, r, &in) {
		return
	}
	made, err := a.store.Devices.Add([]devices.NewDevice{in})
	if err != nil {
		a.Failed(w, err)
		return
	}
	a.log.Info("device added", "device", in.ID, "by", by.Name)
	a.audit(by, "device added", in.ID, "")
	w.Header().Set("Location", "/api/v1/devices/"+url.PathEscape(in.ID))
	a.answerCredentials(w, r, by, http.StatusCreated, made[0].Device, made[0].Token)
}

// DeviceChange is what is to be different with a device (RFC 7396).
type DeviceChange struct {
	Kind   *string            `json:"kind"`
	Labels map[string]*string `json:"labels"` // null takes a label away; those that are not named stay
}

func (a *API) changeDevice(w http.ResponseWriter, r *http.Request, by Caller) {
	var in DeviceChange
	if !a.noQuery(w, r) || !ReadJSON(w, r, &in) {
		return
	}
	id := r.PathValue("id")
	err := a.store.Devices.Change(id, func(d *devices.NewDevice) {
		if in.Kind != nil {
			d.Kind = *in.Kind
		}
		for name, value := range in.Labels {
			if value == nil {
				delete(d.Labels, name)
				continue
			}
			if d.Labels == nil {
				d.Labels = map[string]string{}
			}
			d.Labels[name] = *value
		}
	})
	if err != nil {
		a.Failed(w, err)
		return
	}
	a.log.Info("device changed", "device", id, "by", by.Name)
	a.audit(by, "device changed", id, "")
	a.answerDevice(w, id)
}

// maxFleet is how many bytes a request may have that registers many devices: some 500,000 of them.
const maxFleet = 64 << 20

// NewDevices is devices to be registered, all of them or none.
type NewDevices struct {
	Devices []devices.NewDevice `json:"devices"`
}

// Fleet is all that the devices have to be given. The tokens are shown once.
type Fleet struct {
	URL         string               `json:"url,omitempty"`         // absent over the Unix socket
	Certificate string               `json:"certificate,omitempty"` // as in Credentials
	PublicKey   string               `json:"public_key,omitempty"`
	Devices     []devices.Credential `json:"devices"` // in the same order
}

func (a *API) addDevices(w http.ResponseWriter, r *http.Request, by Caller) {
	var in NewDevices
	if !a.noQuery(w, r) || !readJSON(w, r, maxFleet, &in) {
		return
	}
	made, err := a.store.Devices.Add(in.Devices)
	if err != nil {
		a.Failed(w, err)
		return
	}
	a.log.Info("devices added", "devices", len(made), "by", by.Name)
	entries := make([]audit.Entry, len(made))
	for i, c := range made {
		entries[i] = audit.Entry{By: by.By, From: by.From, Action: "device added", Device: c.Device}
	}
	_ = a.store.Audit.Enter(entries...) // the store raises an alarm
	c, err := a.credentials(r, by, "", "")
	if err != nil {
		a.Failed(w, err)
		return
	}
	patient(w)
	Answer(w, http.StatusCreated, Fleet{c.URL, c.Certificate, c.PublicKey, made})
}

func (a *API) rotateToken(w http.ResponseWriter, r *http.Request, by Caller) {
	if !a.noQuery(w, r) {
		return
	}
	id := r.PathValue("id")
	before, err := a.store.Devices.Get(id)
	if err != nil {
		a.Failed(w, err)
		return
	}
	token, err := a.store.Devices.Rotate(id)
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
	if err := a.store.Devices.Revoke(id); err != nil {
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
	if _, gone := a.store.Devices.Get(id); gone != nil { // also when something behind that has failed
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
