package store

import (
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/export"
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/outages"
)

// Status is the state of the whole store.
type Status struct {
	Storage     ledger.Storage `json:"storage"`
	Devices     int            `json:"devices"`
	Frames      uint64         `json:"frames"`
	Readings    uint64         `json:"readings"`
	Duplicates  uint64         `json:"duplicates"`
	Rejected    uint64         `json:"rejected"`
	Holes       uint64         `json:"holes"`
	Lost        uint64         `json:"lost"`
	DeadLetters int            `json:"dead_letters"` // kept
	Journal     JournalStatus  `json:"journal"`
	History     history.Stats  `json:"history"`
	Tails       []TailStatus   `json:"tails"`
	Export      *export.Status `json:"export,omitempty"` // nil: nothing is exported
	Gaps        []outages.Gap  `json:"gaps"`
	Alarms      []alarms.Alarm `json:"alarms"`
}

// JournalStatus describes what the journal holds.
type JournalStatus struct {
	Bytes    int64     `json:"bytes"`
	Segments int       `json:"segments"`
	First    uint64    `json:"first"` // position of the oldest entry held
	Next     uint64    `json:"next"`  // position the next entry gets
	Oldest   time.Time `json:"oldest,omitzero"`
}

// TailStatus says how far a tail has got.
type TailStatus struct {
	Name       string `json:"name"`
	Cursor     uint64 `json:"cursor"`         // everything before it is safe in the tail's own file
	Unread     uint64 `json:"unread_entries"` // committed entries it has not read yet; what it has read counts and can be read
	LagEntries uint64 `json:"lag_entries"`    // committed entries not yet safe there
	LagBytes   int64  `json:"lag_bytes"`      // about as many bytes of journal
	Error      string `json:"error,omitempty"`
}

// Status returns the state of the store.
func (s *Store) Status() Status {
	status := s.Condition()
	sum := s.Ledger.Totals()
	status.Frames, status.Readings, status.Duplicates = sum.Frames, sum.Readings, sum.Duplicates
	status.Rejected, status.Lost, status.Holes = sum.Rejected, sum.Lost, sum.Holes
	return status
}

// Condition is Status without what has to be added up over all devices, which holds up the sessions for a moment.
func (s *Store) Condition() Status {
	segments := s.journal.Segments()
	next := s.journal.Next()
	h := s.history.Current()
	tail := func(name string, cursor uint64) TailStatus {
		cursor = min(max(cursor, 1), next)
		return TailStatus{Name: name, Cursor: cursor, LagEntries: next - cursor, LagBytes: ledger.LagBytes(segments, cursor)}
	}
	status := Status{
		Storage: s.Ledger.Storage(),
		Journal: JournalStatus{Bytes: s.journal.Bytes(), Segments: len(segments), First: s.journal.First(), Next: next},
		History: h.Stats(), DeadLetters: s.Ledger.CountDeadLetters(), Export: s.Export.Status(), Alarms: s.Alarms.All(),
	}
	if len(segments) > 0 {
		status.Journal.Oldest = segments[0].Oldest
	}
	historyStatus := tail(outages.HistoryTail, h.Cursor())
	if err := h.Failing(); err != nil {
		historyStatus.Error = err.Error()
	}
	read, _ := s.history.Progress()
	historyStatus.Unread = next - min(max(read, 1), next)
	if err := s.history.Err(); err != nil {
		historyStatus.Error = err.Error()
	}
	status.Devices = s.Devices.Len()

	status.Tails = []TailStatus{tail("books", s.Ledger.Cursor()), historyStatus}
	if status.Export != nil {
		status.Tails = append(status.Tails, TailStatus{
			Name: export.Name, Cursor: min(s.Export.Reached(), next), Unread: status.Export.Waiting.Entries,
			LagEntries: status.Export.Waiting.Entries, LagBytes: status.Export.Waiting.Bytes, Error: status.Export.Reason,
		})
	}
	status.Gaps = s.Outages.Gaps()
	return status
}
