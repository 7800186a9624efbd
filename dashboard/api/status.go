package api

import (
	"net/http"

	"github.com/telemetry-hub/telemetry-hub/hub/live"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/export"
)

// Status is what the hub does and holds, added up. Times are ms since 1970.
type Status struct {
	Now         live.Millis        `json:"now"`
	Version     string             `json:"version"`
	Running     bool               `json:"running"`   // a hub serves; else the files were read directly
	Connected   int                `json:"connected"` // devices
	Devices     int                `json:"devices"`
	Frames      uint64             `json:"frames"`
	Readings    uint64             `json:"readings"`
	Duplicates  uint64             `json:"duplicates"`
	Rejected    uint64             `json:"rejected"`
	Holes       uint64             `json:"holes"`
	Lost        uint64             `json:"lost"`
	DeadLetters int                `json:"dead_letters"`
	Storage     StorageStatus      `json:"storage"`
	Journal     JournalStatus      `json:"journal"`
	History     HistoryStatus      `json:"history"`
	Tails       []store.TailStatus `json:"tails"`
	Export      *ExportStatus      `json:"export,omitempty"` // absent: nothing is exported
	Gaps        []JournalGap       `json:"gaps"`
	Alarms      []Alarm            `json:"alarms"`
}

// StorageStatus says whether frames can be made durable.
type StorageStatus struct {
	State string      `json:"state"` // ok, slow or failing
	Since live.Millis `json:"since,omitempty"`
	Error string      `json:"error,omitempty"`
}

// JournalStatus is what the journal holds.
type JournalStatus struct {
	Bytes    int64       `json:"bytes"`
	Segments int         `json:"segments"`
	First    uint64      `json:"first"` // position of the oldest entry held
	Next     uint64      `json:"next"`  // position that the next entry gets
	Oldest   live.Millis `json:"oldest,omitempty"`
}

// HistoryStatus is what the local history holds.
type HistoryStatus struct {
	Blocks    uint64      `json:"blocks"`
	Bytes     int64       `json:"bytes"`      // of the file that are in use
	FileBytes int64       `json:"file_bytes"` // of the whole file
	Buffered  int64       `json:"buffered"`   // bytes of frames in memory, not yet in the file
	Oldest    live.Millis `json:"oldest,omitempty"`
	Damaged   uint64      `json:"damaged"` // blocks that can't be read
}

// ExportStatus is how the export to InfluxDB fares.
type ExportStatus struct {
	URL       string       `json:"url"`
	Bucket    string       `json:"bucket"`
	State     string       `json:"state"` // reachable, dropping lines, backing off or paused
	Since     live.Millis  `json:"since,omitempty"`
	Reason    string       `json:"reason,omitempty"`
	NextTry   live.Millis  `json:"next_try,omitempty"`
	Sample    string       `json:"sample,omitempty"` // a line refused lately
	Waiting   WaitingState `json:"waiting"`
	Rate      float64      `json:"rate"` // journal entries exported a second, lately
	Done      live.Millis  `json:"done,omitempty"`
	Horizon   live.Millis  `json:"horizon,omitempty"`    // when the journal drops what waits, if nothing is exported from now on
	DropsFrom live.Millis  `json:"drops_from,omitempty"` // what it drops first: the frames received from then on
	export.Counts
}

// WaitingState is what is not exported yet.
type WaitingState struct {
	Entries uint64      `json:"entries"`
	Bytes   int64       `json:"bytes"`
	Oldest  live.Millis `json:"oldest,omitempty"`
}

// JournalGap is a range of the journal's entries that something has lost.
type JournalGap struct {
	First    uint64      `json:"first"`
	Last     uint64      `json:"last"`
	Cause    string      `json:"cause"`
	Tail     string      `json:"tail,omitempty"`      // the tail that misses it, if others had it
	SetAside string      `json:"set_aside,omitempty"` // where the damaged file is kept
	From     live.Millis `json:"from,omitempty"`
	To       live.Millis `json:"to,omitempty"`
	Noticed  live.Millis `json:"noticed"`
}

// Alarm is something an operator has to know.
type Alarm struct {
	Since live.Millis `json:"since"`
	Text  string      `json:"text"`
}

func (a *API) serveStatus(w http.ResponseWriter, r *http.Request, _ Caller) {
	if !a.noQuery(w, r) {
		return
	}
	s := a.store.Status()
	out := Status{
		Now: Millis(a.now()), Version: a.version, Running: a.hub != nil, Devices: s.Devices, Frames: s.Frames, Readings: s.Readings,
		Duplicates: s.Duplicates, Rejected: s.Rejected, Holes: s.Holes, Lost: s.Lost, DeadLetters: s.DeadLetters,
		Storage: StorageStatus{s.Storage.State, Millis(s.Storage.Since), s.Storage.Error},
		Journal: JournalStatus{s.Journal.Bytes, s.Journal.Segments, s.Journal.First, s.Journal.Next, Millis(s.Journal.Oldest)},
		History: HistoryStatus{s.History.Blocks, s.History.Bytes, s.History.FileBytes, s.History.Buffered, Millis(s.History.Oldest), s.History.Damaged},
		Tails:   s.Tails, Export: exportStatus(s.Export), Gaps: []JournalGap{}, Alarms: []Alarm{},
	}
	if a.hub != nil {
		out.Connected = a.hub.Connected()
	}
	for _, g := range s.Gaps {
		out.Gaps = append(out.Gaps, JournalGap{g.First, g.Last, g.Cause, g.Tail, g.SetAside, Millis(g.From), Millis(g.To), Millis(g.Noticed)})
	}
	for _, alarm := range s.Alarms {
		out.Alarms = append(out.Alarms, Alarm{Millis(alarm.Since), alarm.Text})
	}
	Answer(w, http.StatusOK, out)
}

func exportStatus(e *export.Status) *ExportStatus {
	if e == nil {
		return nil
	}
	return &ExportStatus{
		URL: e.URL, Bucket: e.Bucket, State: e.State, Since: Millis(e.Since), Reason: e.Reason, NextTry: Millis(e.NextTry), Sample: e.Sample,
		Waiting: WaitingState{e.Waiting.Entries, e.Waiting.Bytes, Millis(e.Waiting.Oldest)}, Rate: e.Rate, Done: Millis(e.Done),
		Horizon: Millis(e.Horizon), DropsFrom: Millis(e.Oldest), Counts: e.Counts,
	}
}
