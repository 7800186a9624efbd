package live

import (
	"math"
	"slices"
	"time"
)

// hubEvents is how many events a message about the hub has at most.
const hubEvents = 10

// hubTopic is the content of /topic/hub. It changes once a second.
type hubTopic struct {
	feed *Feed
}

func (f *Feed) newHubTopic(uint64) content { return &hubTopic{f} }

func (h *hubTopic) advance(_ uint64, second bool) bool { return second }
func (h *hubTopic) covers(uint64) bool                 { return true }
func (h *hubTopic) close()                             {}

// body writes a HubState; snapshot and update differ in their events only.
func (h *hubTopic) body(since, cut uint64, snapshot bool) []byte {
	state := h.feed.hubState()
	h.feed.mu.Lock()
	state.Events = h.feed.eventsBetween("", since, cut, hubEvents)
	h.feed.mu.Unlock()
	return encode(&state)
}

// Hub returns the state of the hub, with its newest events.
func (f *Feed) Hub() HubState {
	state := f.hubState()
	state.Events = f.Events("", hubEvents)
	return state
}

// hubState is everything but the events.
func (f *Feed) hubState() HubState {
	s := f.store.Condition()
	journalMax, historyMax := f.store.MaxBytes()
	state := HubState{
		Now: millis(f.micros()), Version: f.version, Epoch: f.epoch,
		Storage:     Storage{State: s.Storage.State, Since: moment(s.Storage.Since), Error: s.Storage.Error},
		Journal:     JournalState{Bytes: s.Journal.Bytes, MaxBytes: journalMax, Oldest: moment(s.Journal.Oldest)},
		History:     HistoryState{Bytes: s.History.Bytes, MaxBytes: historyMax, Oldest: moment(s.History.Oldest)},
		DeadLetters: s.DeadLetters, Alarms: make([]Alarm, len(s.Alarms)), Viewers: len(f.allViewers()),
	}
	for i, a := range s.Alarms {
		state.Alarms[i] = Alarm{Since: moment(a.Since), Text: a.Text}
	}
	if e := s.Export; e != nil {
		state.Export = &ExportState{
			State: e.State, Since: moment(e.Since), Reason: e.Reason, Frames: e.Waiting.Entries, Bytes: e.Waiting.Bytes,
			Oldest: moment(e.Waiting.Oldest), Horizon: moment(e.Horizon), Rate: round(e.Rate), Lines: e.Lines, Refused: e.Refused,
		}
	}
	f.mu.Lock()
	state.Started = f.started
	state.Counts, state.Attention, state.Ingest = f.counts, slices.Clone(f.attention), f.rates.perSecond
	f.mu.Unlock()
	if state.Attention == nil {
		state.Attention = []Trouble{}
	}
	if p50, p99, ok := f.store.Ledger.CommitLatency(); ok {
		state.Ingest.AckP50, state.Ingest.AckP99 = inMillis(p50), inMillis(p99)
	}
	return state
}

// inMillis is a latency in ms, to the µs and never 0.
func inMillis(d time.Duration) float64 { return max(math.Round(float64(d)/1e3)/1e3, 0.001) }

func moment(t time.Time) Millis {
	if t.IsZero() {
		return 0
	}
	return Millis(t.UnixMilli())
}
