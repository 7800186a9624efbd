package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/limit"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
)

const (
	defaultPoints = 600
	maxPoints     = 5000 // of one channel
	defaultWindow = time.Hour

	// maxSums is how many requests for sums of readings are worked at at a time: each may keep a processor busy for a second.
	maxSums        = 2
	maxSumsWaiting = 64
)

// Summary is a stretch of a device's history, summed up in steps.
type Summary struct {
	Device   string      `json:"device"`
	From     live.Millis `json:"from"`    // ms since 1970, like all times
	To       live.Millis `json:"to"`      // not included
	Step     int64       `json:"step_ms"` // steps begin at multiples of it since 1970
	Channels []Series    `json:"channels"`
	Others   []Other     `json:"others,omitempty"` // what the device measured then under other names, types or units than now
	Gaps     []Gap       `json:"gaps"`             // without any reading of the channels
	MinGap   int64       `json:"min_gap_ms"`       // gaps are longer than this
}

// Series is a channel: for each step that has readings the time of its last one, and the lowest, the highest and the
// last value, with all its digits. A value that no JSON number stands for is null. A string has no min and max, a bool 0 and 1.
type Series struct {
	ID       uint16          `json:"id"`
	Name     string          `json:"name"`
	Unit     string          `json:"unit,omitempty"`
	Type     string          `json:"type"`
	Interval uint32          `json:"interval_ms,omitempty"`
	Time     []live.Millis   `json:"t"`
	Min      json.RawMessage `json:"min,omitempty"`
	Max      json.RawMessage `json:"max,omitempty"`
	Last     json.RawMessage `json:"last"`
}

type Other struct {
	Name     string      `json:"name"`
	Type     string      `json:"type"`
	Unit     string      `json:"unit,omitempty"`
	Readings uint64      `json:"readings"`
	From     live.Millis `json:"from"`
	To       live.Millis `json:"to"`
}

type Gap struct {
	From  live.Millis   `json:"from"`
	To    live.Millis   `json:"to"`
	Cause outages.Cause `json:"cause"`
	Text  string        `json:"text,omitempty"`
}

// serveReadings answers GET /api/v1/devices/{id}/readings.
func (a *API) serveReadings(w http.ResponseWriter, r *http.Request, by Caller) {
	dev, err := a.store.Devices.Get(r.PathValue("id"))
	if err != nil {
		a.Failed(w, err)
		return
	}
	q := readQuery(r)
	from, to, wanted := q.moment("from", a.now()), q.moment("to", a.now()), q.texts("channel", device.MaxChannels)
	if to.IsZero() {
		to = a.now().Truncate(time.Millisecond)
	}
	if from.IsZero() {
		from = to.Add(-defaultWindow)
	}
	points := q.number("points", defaultPoints, 1, maxPoints)
	if to.Sub(from) < time.Millisecond {
		q.bad("from is not before to")
	}
	if err := q.end(); err != nil {
		a.Failed(w, err)
		return
	}
	schema, ok := a.store.DeviceSchema(dev.ID)
	if !ok {
		schema = &device.Schema{}
	}
	channels, err := choose(dev.ID, schema, wanted)
	if err != nil {
		Fail(w, http.StatusNotFound, "no_channel", err.Error(), "GET /api/v1/devices/"+dev.ID+" shows its channels")
		return
	}
	a.sumUp(w, r, by, history.DecimateQuery{Device: dev.ID, Channels: channels, From: from, To: to, Step: stepOf(to.Sub(from), points), Present: schema})
}

// stepOf is the length of a step in whole ms, so that there are at most points of them, and one for what stands out.
func stepOf(window time.Duration, points int64) time.Duration {
	ms := window.Milliseconds()
	return time.Duration(max((ms+points-1)/points, 1)) * time.Millisecond
}

// choose returns the channels that are wanted, by number or name, of those the device has announced; all of them for none.
func choose(id string, schema *device.Schema, wanted []string) (channels []*device.Channel, err error) {
	taken := map[string]bool{}
	for _, name := range wanted {
		ch := find(schema, name)
		if ch == nil {
			return nil, fmt.Errorf("%s has no channel %q", id, name)
		}
		if !taken[ch.Name] {
			channels = append(channels, ch)
		}
		taken[ch.Name] = true
	}
	if len(wanted) == 0 {
		for i := range schema.Channels {
			channels = append(channels, &schema.Channels[i])
		}
	}
	return channels, nil
}

// find returns the channel with this number or, if there is none, with this name.
func find(s *device.Schema, name string) *device.Channel {
	if id, err := strconv.ParseUint(name, 10, 16); err == nil {
		if ch, ok := s.Channel(uint16(id)); ok {
			return ch
		}
	}
	for i := range s.Channels {
		if s.Channels[i].Name == name {
			return &s.Channels[i]
		}
	}
	return nil
}

// refuseTurn answers who gets no turn to have readings read, unless it has gone.
func (a *API) refuseTurn(w http.ResponseWriter, err error) {
	if errors.Is(err, limit.ErrBusy) {
		TryLater(w, http.StatusServiceUnavailable, time.Second, "busy", "too many requests for readings at this moment")
	}
}

// sumUp answers with steps of readings.
func (a *API) sumUp(w http.ResponseWriter, r *http.Request, by Caller, q history.DecimateQuery) {
	patient(w)
	if err := a.sums.Enter(r.Context(), by.party()); err != nil {
		a.refuseTurn(w, err)
		return
	}
	defer a.sums.Leave(by.party())
	sums, err := a.store.Decimated(r.Context(), q)
	if err != nil {
		if r.Context().Err() == nil {
			a.Failed(w, err)
		}
		return
	}
	out := Summary{
		Device: q.Device, From: Millis(q.From), To: Millis(q.To), Step: q.Step.Milliseconds(),
		Channels: make([]Series, len(sums.Series)), Gaps: []Gap{}, MinGap: sums.MinGap.Milliseconds(),
	}
	for i := range sums.Series {
		out.Channels[i] = describeSeries(&sums.Series[i])
	}
	for _, o := range sums.Others {
		out.Others = append(out.Others, Other{o.Name, o.Type.String(), o.Unit, o.Readings, Millis(o.First), Millis(o.Last)})
	}
	for _, s := range a.store.Silences(q.Device, sums) {
		out.Gaps = append(out.Gaps, Gap{Millis(s.From), Millis(s.To), s.Cause, s.Text})
	}
	patient(w)
	Answer(w, http.StatusOK, out)
}

func describeSeries(s *history.Series) Series {
	ch := s.Channel
	out := Series{ID: ch.ID, Name: ch.Name, Unit: ch.Unit, Type: ch.Type.String(), Interval: ch.Interval, Time: make([]live.Millis, len(s.Buckets))}
	low, high, last := []byte{'['}, []byte{'['}, []byte{'['}
	for i := range s.Buckets {
		b := &s.Buckets[i]
		out.Time[i] = Millis(b.Time)
		if i > 0 {
			low, high, last = append(low, ','), append(high, ','), append(last, ',')
		}
		switch s.Type {
		case device.String:
			last = device.Value{Type: device.String, Text: b.Text}.AppendJSON(last)
		case device.Bool:
			low, high = strconv.AppendUint(low, b.Min, 10), strconv.AppendUint(high, b.Max, 10)
			last = s.Value(b.Last).AppendText(last)
		default:
			low, high, last = s.Value(b.Min).AppendJSON(low), s.Value(b.Max).AppendJSON(high), s.Value(b.Last).AppendJSON(last)
		}
	}
	if s.Type != device.String {
		out.Min, out.Max = append(low, ']'), append(high, ']')
	}
	out.Last = append(last, ']')
	return out
}
