package dashboard

import (
	"net/http"

	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// serveSettings answers with the desired values of a device, by channel.
func (d *Dashboard) serveSettings(w http.ResponseWriter, r *http.Request, _ store.Identity) {
	if !d.noQuery(w, r) {
		return
	}
	dev, err := d.store.Device(r.PathValue("id"))
	if err != nil {
		d.failed(w, err)
		return
	}
	out := []live.SettingStatus{}
	for _, s := range d.store.Desired(dev.ID) {
		out = append(out, live.SettingStatusOf(&s))
	}
	answer(w, http.StatusOK, out)
}

func (d *Dashboard) setDesired(w http.ResponseWriter, r *http.Request, by store.Identity) {
	var in struct {
		Value scalar `json:"value"`
	}
	if !d.noQuery(w, r) || !readJSON(w, r, &in) {
		return
	}
	if pause := d.paceCommands(by); pause > 0 {
		tryLater(w, http.StatusTooManyRequests, pause, "too many commands")
		return
	}
	who := actorOf(by, r)
	s, err := d.store.SetDesired(r.PathValue("id"), r.PathValue("channel"), in.Value.value, who.name, who.from)
	if err != nil {
		d.failed(w, err)
		return
	}
	answer(w, http.StatusOK, live.SettingStatusOf(&s))
}

func (d *Dashboard) clearDesired(w http.ResponseWriter, r *http.Request, by store.Identity) {
	if !d.noQuery(w, r) {
		return
	}
	who := actorOf(by, r)
	if err := d.store.ClearDesired(r.PathValue("id"), r.PathValue("channel"), who.name, who.from); err != nil {
		d.failed(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
