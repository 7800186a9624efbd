package api

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/telemetry-hub/telemetry-hub/hub"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// Devices is a page of the list of devices.
type Devices struct {
	Now     live.Millis  `json:"now"`
	Total   int          `json:"total"`   // devices there are
	Matched int          `json:"matched"` // of those, the ones that the filters let through
	Devices []DeviceItem `json:"devices"`
	Next    string       `json:"next,omitempty"`
}

// DeviceItem is a device in a list.
type DeviceItem struct {
	live.Row
	DeviceRecord
}

// DeviceRecord is what is registered of a device, and what became of its connections and frames.
type DeviceRecord struct {
	Created  live.Millis `json:"created"`
	Revoked  bool        `json:"revoked"`
	Tokens   []Token     `json:"tokens"` // those valid, the newest last
	Presence Presence    `json:"presence"`
	Books    Books       `json:"books"`
}

// skips begins the cursors of lists whose order changes: how many to pass over.
const skips = "@"

func (a *API) serveDevices(w http.ResponseWriter, r *http.Request, _ Caller) {
	q := readQuery(r)
	p := q.place(defaultPage, maxPage)
	params := map[string]string{}
	for _, name := range []string{"q", "state", "label", "sort"} {
		params[name] = q.text(name)
	}
	err := q.end()
	var list live.List
	if err == nil {
		list, err = live.ParseList(params)
	}
	byID := list.Sort == "" || list.Sort == "id"
	switch text, ok := strings.CutPrefix(p.cursor, skips); {
	case p.cursor == "" || err != nil:
	case byID:
		list.After = p.cursor
	default:
		if list.First, err = strconv.Atoi(text); !ok || err != nil || list.First < 0 {
			err = fmt.Errorf("%w: cursor is what an answer of this list had as next", errQuery)
		}
	}
	if err != nil {
		a.Failed(w, err)
		return
	}
	list.Count = p.limit
	window := a.feed.Devices(list)
	out := Devices{Now: window.Now, Total: window.Total, Matched: window.Matched, Devices: make([]DeviceItem, 0, len(window.Rows))}
	for _, row := range window.Rows {
		if dev, err := a.store.Devices.Get(row.ID); err == nil { // else it was removed a moment ago
			out.Devices = append(out.Devices, DeviceItem{row, a.record(&dev)})
		}
	}
	if n := len(window.Rows); n == p.limit && byID {
		out.Next = window.Rows[n-1].ID
	} else if first := list.First + n; first < window.Matched && !byID {
		out.Next = skips + strconv.Itoa(first)
	}
	patient(w)
	Answer(w, http.StatusOK, out)
}

// Device is all that is known of a device but its readings.
type Device struct {
	Now    live.Millis       `json:"now"`
	Device live.Row          `json:"device"` // with all its values
	Kind   string            `json:"kind"`
	Labels map[string]string `json:"labels,omitempty"`
	DeviceRecord
	Schema *live.Schema `json:"schema"` // null: none announced
	Events []live.Event `json:"events"` // the newest 20, newest first
}

// Token is a valid token; nobody but the device has the token itself.
type Token struct {
	Created   live.Millis `json:"created"`
	FirstUsed live.Millis `json:"first_used,omitempty"`
	Expires   live.Millis `json:"expires,omitempty"` // absent: never
}

// Presence is what is known of a device's connection since the hub started.
type Presence struct {
	Connected bool        `json:"connected"`
	Since     live.Millis `json:"since,omitempty"` // begin of the present or, if there is none, of the last connection
	LastSeen  live.Millis `json:"last_seen,omitempty"`
	Address   string      `json:"address,omitempty"`
	Skew      int64       `json:"skew_ms"`             // the device's clock minus the hub's
	Rivals    []string    `json:"rivals,omitempty"`    // hosts whose connections take over from each other
	Takeovers int         `json:"takeovers,omitempty"` // how often, lately
}

// Books says what became of a device's frames.
type Books struct {
	Frames       uint64      `json:"frames"`
	Readings     uint64      `json:"readings"`
	Duplicates   uint64      `json:"duplicates"`
	Rejected     uint64      `json:"rejected"`
	Lost         uint64      `json:"lost"`
	Holes        uint64      `json:"holes"`
	Streams      int         `json:"streams"`
	LastData     live.Millis `json:"last_data,omitempty"`
	LastReceived live.Millis `json:"last_received,omitempty"`
}

func (a *API) serveDevice(w http.ResponseWriter, r *http.Request, _ Caller) {
	if a.noQuery(w, r) {
		a.answerDevice(w, r.PathValue("id"))
	}
}

func (a *API) answerDevice(w http.ResponseWriter, id string) {
	dev, err := a.store.Devices.Get(id)
	if err != nil {
		a.Failed(w, err)
		return
	}
	detail, ok := a.feed.Device(dev.ID)
	if !ok { // removed meanwhile
		a.Failed(w, devices.ErrNoDevice)
		return
	}
	Answer(w, http.StatusOK, Device{
		Now: Millis(a.now()), Device: detail.Device, Kind: dev.Kind, Labels: dev.Labels, DeviceRecord: a.record(&dev),
		Schema: detail.Schema, Events: detail.Events,
	})
}

func (a *API) record(dev *devices.Device) DeviceRecord {
	books, p := a.store.Ledger.Books(dev.ID), hub.Presence{}
	if a.hub != nil {
		p = a.hub.Presence(dev.ID)
	}
	out := DeviceRecord{
		Created: Millis(dev.Created), Revoked: dev.Revoked, Tokens: make([]Token, len(dev.Tokens)),
		Presence: Presence{
			Connected: p.Connected, Since: Millis(p.Since), LastSeen: Millis(wallclock.Later(p.LastSeen, books.LastReceived)), Address: p.Address,
			Skew: p.ClockSkew.Milliseconds(), Takeovers: p.Takeovers,
		},
		Books: Books{
			Frames: books.Frames, Readings: books.Readings, Duplicates: books.Duplicates, Rejected: books.Rejected, Lost: books.Lost,
			Holes: books.Holes, Streams: books.Streams, LastData: Millis(books.LastData), LastReceived: Millis(books.LastReceived),
		},
	}
	if p.Takeovers > 0 {
		out.Presence.Rivals = slices.Compact(p.Rivals[:])
	}
	for i, t := range dev.Tokens {
		out.Tokens[i] = Token{Created: Millis(t.Created), FirstUsed: Millis(t.FirstUsed), Expires: Millis(t.Expires)}
	}
	return out
}
