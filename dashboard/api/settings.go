package api

import (
	"net/http"

	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/settings"
)

// Settings is a page of the desired values of a device.
type Settings struct {
	Settings []live.SettingStatus `json:"settings"` // by channel
	Next     string               `json:"next,omitempty"`
}

func (a *API) serveSettings(w http.ResponseWriter, r *http.Request, _ Caller) {
	q := readQuery(r)
	p := q.place(defaultPage, maxPage)
	dev, err := a.store.Devices.Get(r.PathValue("id"))
	if bad := q.end(); bad != nil {
		err = bad
	}
	if err != nil {
		a.Failed(w, err)
		return
	}
	list, next := cut(a.store.Settings.List(dev.ID), p, func(s *settings.Setting) string { return s.Channel })
	out := Settings{Settings: make([]live.SettingStatus, len(list)), Next: next}
	for i := range list {
		out.Settings[i] = live.SettingStatusOf(&list[i])
	}
	Answer(w, http.StatusOK, out)
}

// NewSetting is a desired value, either as it is or as people type it: read as the device has announced the channel.
type NewSetting struct {
	Value *Scalar `json:"value"`
	Text  *string `json:"value_text"`
}

func (a *API) setDesired(w http.ResponseWriter, r *http.Request, by Caller) {
	var in NewSetting
	if !a.noQuery(w, r) || !ReadJSON(w, r, &in) {
		return
	}
	if pause := a.PaceCommands(by); pause > 0 {
		TryLater(w, http.StatusTooManyRequests, pause, "throttled", "too many commands")
		return
	}
	if (in.Value == nil) == (in.Text == nil) {
		Fail(w, http.StatusBadRequest, "bad_request", "there is not one value", "send value or value_text")
		return
	}
	id, channel := r.PathValue("id"), r.PathValue("channel")
	var value any
	if in.Text != nil {
		value = a.store.Settings.Parse(id, channel, *in.Text)
	} else {
		value = in.Value.value
	}
	s, err := a.store.Settings.Set(id, channel, value, by.By, by.From)
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
	if err := a.store.Settings.Clear(r.PathValue("id"), r.PathValue("channel"), by.By, by.From); err != nil {
		a.Failed(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
