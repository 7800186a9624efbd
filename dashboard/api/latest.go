package api

import (
	"net/http"
	"slices"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

// Latest is the newest values of devices.
type Latest struct {
	Now     live.Millis    `json:"now"`
	Devices []LatestDevice `json:"devices"` // by id
	Next    string         `json:"next,omitempty"`
}

// LatestDevice is the newest values of a device.
type LatestDevice struct {
	ID     string       `json:"id"`
	State  live.State   `json:"state"`
	Values []live.Value `json:"values"`
}

// serveLatest answers with the newest values of some devices, or of all that the filters let through.
func (a *API) serveLatest(w http.ResponseWriter, r *http.Request, _ Caller) {
	q := readQuery(r)
	p, ids, channels := q.place(defaultPage, maxPage), q.texts("device", maxDevices), q.texts("channel", device.MaxChannels)
	params := map[string]string{"q": q.text("q"), "state": q.text("state"), "label": q.text("label")}
	err := q.end()
	var list live.List
	if err == nil {
		list, err = live.ParseList(params)
	}
	switch {
	case err != nil:
	case a.hub == nil:
		err = errNoHub
	default:
		for _, id := range ids { // all of them are there, or there is no answer
			if _, err = a.store.Devices.Get(id); err != nil {
				break
			}
		}
	}
	if err != nil {
		a.Failed(w, err)
		return
	}
	slices.Sort(ids)
	list.After, list.Count, list.IDs, list.AllValues = p.cursor, p.limit, ids, true
	window := a.feed.Devices(list)
	out := Latest{Now: window.Now, Devices: make([]LatestDevice, len(window.Rows))}
	for i, row := range window.Rows {
		values := row.Values
		if len(channels) > 0 {
			values = slices.DeleteFunc(values, func(v live.Value) bool { return !slices.Contains(channels, v.Name) })
		}
		if values == nil {
			values = []live.Value{}
		}
		out.Devices[i] = LatestDevice{row.ID, row.State, values}
	}
	if n := len(window.Rows); n == p.limit {
		out.Next = window.Rows[n-1].ID
	}
	patient(w)
	Answer(w, http.StatusOK, out)
}
