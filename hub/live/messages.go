package live

import (
	"encoding/json"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// Millis is a moment: ms since 1970, 0 for none.
type Millis int64

// Time is the moment as a time, zero for none.
func (m Millis) Time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(m))
}

// State is how far a device's newest values can be trusted as present ones.
type State string

// The states, best first.
const (
	StateLive    State = "live"    // connected, the newest reading younger than 1.5 times what is expected
	StateLate    State = "late"    // connected, up to 3 times
	StateStale   State = "stale"   // connected, and silent for longer
	StateOffline State = "offline" // not connected
	StateNever   State = "never"   // no frame has ever come
	StateRevoked State = "revoked" // its tokens are not accepted any more
)

// Value is the newest reading of one channel.
type Value struct {
	Channel uint16          `json:"id"`
	Name    string          `json:"name"`
	Unit    string          `json:"unit,omitempty"` // UCUM
	Type    string          `json:"type"`           // bool, int, float32, float64, string
	Value   json.RawMessage `json:"v"`              // number with all its digits, true, false, string; null for NaN and infinities
	Text    string          `json:"text"`           // exact, as people write it: "21.34"
	Time    Millis          `json:"t"`              // of the reading, hub time; of one ahead of the hub's clock, of its arrival
	State   State           `json:"state"`          // live, late or stale
	Expect  Millis          `json:"expect"`         // ms within which the next one is expected
}

// Row is a device in a list.
type Row struct {
	ID        string            `json:"id"`
	Kind      string            `json:"kind"`
	Labels    map[string]string `json:"labels,omitempty"`
	State     State             `json:"state"`
	Since     Millis            `json:"since"` // when the state began, as far as is known
	Connected bool              `json:"connected"`
	Seen      Millis            `json:"seen,omitempty"`    // when the newest frame came
	Skew      Millis            `json:"skew_ms,omitempty"` // the device's clock minus the hub's, if that is doubtful
	Firmware  string            `json:"firmware,omitempty"`
	Model     string            `json:"model,omitempty"`
	Rejected  uint64            `json:"rejected,omitempty"`
	Holes     uint64            `json:"holes,omitempty"`
	Lost      uint64            `json:"lost,omitempty"`
	Values    []Value           `json:"values,omitempty"` // the first three channels of its schema in a list, all of them in detail
}

// Trouble is an entry of the needs-attention list.
type Trouble struct {
	Device   string `json:"id"`
	Severity string `json:"severity"` // "alarm" or "warning"
	Reason   string `json:"reason"`   // offline, stale, channel, clock, rejected, holes, lost, revoked
	Since    Millis `json:"since"`
	Detail   string `json:"detail,omitempty"` // channel name, count or the like
}

// Counts is how many devices are in which state.
type Counts struct {
	Total     int `json:"total"`
	Live      int `json:"live"`
	Late      int `json:"late"`
	Stale     int `json:"stale"`
	Offline   int `json:"offline"`
	Never     int `json:"never"`
	Revoked   int `json:"revoked"`
	Attention int `json:"attention"` // devices with a trouble
}

// Event is something that happened to a device or to the hub.
type Event struct {
	Number  uint64 `json:"n"` // counts the events of one run of the hub
	At      Millis `json:"at"`
	Device  string `json:"device,omitempty"`
	Kind    string `json:"kind"` // connected, disconnected, replaced, refused, tls, rejected, lost, schema, clock, boot, stream, alarm
	Text    string `json:"text,omitempty"`
	Address string `json:"address,omitempty"`
}

// Kinds of messages on /topic/devices and below.
const (
	KindSnapshot = "snapshot" // everything: what was known before is to be dropped
	KindUpdate   = "update"   // what changed since the last message, if anything did
	KindRemoved  = "removed"  // /topic/devices/{id}/readings only: there is no such device (any more)
)

// HubState is the body of /topic/hub, sent once a second.
type HubState struct {
	Now         Millis       `json:"now"`
	Started     Millis       `json:"started"`
	Version     string       `json:"version"`
	Epoch       string       `json:"epoch"` // of this run of the hub
	Counts      Counts       `json:"counts"`
	Attention   []Trouble    `json:"attention"` // the 20 that matter most: alarms first, newest first
	Ingest      Ingest       `json:"ingest"`
	Storage     Storage      `json:"storage"`
	Journal     JournalState `json:"journal"`
	History     HistoryState `json:"history"`
	Export      *ExportState `json:"export"` // null: nothing is exported
	DeadLetters int          `json:"dead_letters"`
	Alarms      []Alarm      `json:"alarms"`
	Viewers     int          `json:"viewers"`
	Events      []Event      `json:"events"` // the newest, at most 10: in a snapshot of all, else of those since the last message
}

// Ingest is how fast frames come in and how fast they become durable.
type Ingest struct {
	Frames   float64 `json:"frames_per_s"`         // over the last few seconds
	Readings float64 `json:"readings_per_s"`       // likewise
	AckP50   float64 `json:"ack_p50_ms,omitempty"` // from a frame's arrival until it is durable; absent: nothing came in the last minute
	AckP99   float64 `json:"ack_p99_ms,omitempty"`
}

// Storage says whether frames can be made durable.
type Storage struct {
	State string `json:"state"` // "ok", "slow" or "failing"
	Since Millis `json:"since,omitempty"`
	Error string `json:"error,omitempty"`
}

// JournalState is how full the journal is.
type JournalState struct {
	Bytes    int64  `json:"bytes"`
	MaxBytes int64  `json:"max_bytes"`
	Oldest   Millis `json:"oldest,omitempty"`
}

// HistoryState is how full the local history is.
type HistoryState struct {
	Bytes    int64  `json:"bytes"`
	MaxBytes int64  `json:"max_bytes"`
	Oldest   Millis `json:"oldest,omitempty"`
}

// ExportState is how the export to InfluxDB fares.
type ExportState struct {
	State   string  `json:"state"` // "reachable", "dropping lines", "backing off" or "paused"
	Since   Millis  `json:"since,omitempty"`
	Reason  string  `json:"reason,omitempty"`
	Frames  uint64  `json:"waiting_frames"`
	Bytes   int64   `json:"waiting_bytes"`
	Oldest  Millis  `json:"oldest,omitempty"`  // of what waits
	Horizon Millis  `json:"horizon,omitempty"` // when the journal drops what waits, if nothing is exported from now on
	Rate    float64 `json:"frames_per_s"`      // exported lately
	Lines   uint64  `json:"lines"`             // written in all
	Refused uint64  `json:"refused_lines"`
}

// Alarm is something an operator has to know.
type Alarm struct {
	Since Millis `json:"since"`
	Text  string `json:"text"`
}

// Window is a stretch of the list of devices: the body of /topic/devices.
type Window struct {
	Now     Millis   `json:"now"`
	Kind    string   `json:"kind"`
	Total   int      `json:"total"`          // devices there are
	Matched int      `json:"matched"`        // of those, the ones that the filters let through
	First   int      `json:"first"`          // how many of the matching ones come before Order
	Order   []string `json:"order,omitzero"` // ids; in a snapshot, and in an update that changes it, also to none
	Rows    []Row    `json:"rows"`           // all of them in a snapshot, else those that changed or came into the window
}

// DeviceUpdate is the body of /topic/devices/{id}/readings and, without Now, Schema and Events, an element of DevicesUpdate.
type DeviceUpdate struct {
	Now     Millis            `json:"now,omitempty"`
	Kind    string            `json:"kind"`
	Device  *Row              `json:"device,omitempty"` // with all values in a snapshot, else with those that changed; nil if removed
	Schema  *Schema           `json:"schema,omitempty"` // in a snapshot; a device that has not announced any has none
	Points  map[string]Points `json:"points,omitempty"` // by channel id: newer readings than before, committed since the last message; numbers and bools only
	Backlog *Span             `json:"backlog,omitempty"`
	Events  []Event           `json:"events,omitempty"` // the newest, at most 20: in a snapshot of all, else of those since the last message
}

// DevicesUpdate is the body of /topic/devices/*/readings.
type DevicesUpdate struct {
	Now     Millis         `json:"now"`
	Kind    string         `json:"kind"`
	Total   int            `json:"total"`
	Devices []DeviceUpdate `json:"devices"` // all in a snapshot, else those that changed
}

// Points are readings of one channel by time, at most 64; of more, those that bound the curve. In JSON each is
// [ms since 1970, value], with 0 and 1 for bools, all digits of a number, and null where JSON has none for it.
type Points []Point

// Point is one reading.
type Point struct {
	Time  Millis
	Value device.Value // of any type but String
}

// Span is a stretch of time with readings that came late, [from, to]: a chart has to be loaded again there.
type Span [2]Millis

// Schema is what a device measures and what it can be told.
type Schema struct {
	Hash     string    `json:"hash"` // hex
	Channels []Channel `json:"channels"`
	Commands []Command `json:"commands"`
}

// Channel is one measured quantity.
type Channel struct {
	ID       uint16 `json:"id"`
	Name     string `json:"name"`
	Unit     string `json:"unit,omitempty"` // UCUM
	Type     string `json:"type"`           // bool, int, float32, float64, string
	Scale    int8   `json:"scale,omitempty"`
	Interval uint32 `json:"interval_ms,omitempty"` // 0: irregular
	Writable bool   `json:"writable,omitempty"`
}

// Command is one command that a device takes.
type Command struct {
	Name       string     `json:"name"`
	Confirm    string     `json:"confirm"` // "none", "ask" or "typed"
	Supersedes bool       `json:"supersedes,omitempty"`
	Idempotent bool       `json:"idempotent,omitempty"`
	Args       []Argument `json:"args,omitempty"`
}

// Argument is one argument of a command.
type Argument struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Unit     string   `json:"unit,omitempty"` // UCUM
	Min      *float64 `json:"min,omitempty"`
	Max      *float64 `json:"max,omitempty"`
	Optional bool     `json:"optional,omitempty"`
}
