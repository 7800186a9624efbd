package api

import (
	"net/http"

	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

// serveSettings answers with the desired values of a device, by channel.
func (a *API) serveSettings(w http.ResponseWriter, r *http.Request, _ Caller) {
	if !a.noQuery(w, r) {
		return
	}
	dev, err := a.store.Device(r.PathValue("id"))
	if err != nil {
		a.Failed(w, err)
		return
	}
	out := []live.SettingStatus{}
	for _, s := range a.store.Desired(dev.ID) {
		out = append(out, live.SettingStatusOf(&s))
	}
	Answer(w, http.StatusOK, out)
}

func (a *API) setDesired(w http.ResponseWriter, r *http.Request, by Caller) {
	var in struct {
		Value Scalar `json:"value"`
	}
	if !a.noQuery(w, r) || !ReadJSON(w, r, &in) {
		return
	}
	if pause := a.PaceCommands(by); pause > 0 {
		TryLater(w, http.StatusTooManyRequests, pause, "throttled", "too many commands")
		return
	}
	s, err := a.store.SetDesired(r.PathValue("id"), r.PathValue("channel"), in.Value.value, by.By, by.From)
	if err != nil {
		a.Failed(w, err)
		return
	}
	Answer(w, http.StatusOK, live.SettingStatusOf(&s))
}

func (a *API) clearDesired(w http.ResponseWriter, r *http.Request, by Caller) {
	if !a.noQuery(w, r) {
		return
	}
	if err := a.store.ClearDesired(r.PathValue("id"), r.PathValue("channel"), by.By, by.From); err != nil {
		a.Failed(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
