package live

import "encoding/json"

// Millis is a moment: ms since 1970, 0 for none.
type Millis int64

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
	Value   json.RawMessage `json:"v"`              // number, true, false, string; null for NaN and infinities
	Text    string          `json:"text"`           // exact, as people write it: "21.34"
	Time    Millis          `json:"t"`              // of the reading, hub time
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
	Kind    string `json:"kind"` // connected, disconnected, replaced, refused, tls, rejected, lost, schema, clock, boot, alarm
	Text    string `json:"text,omitempty"`
	Address string `json:"address,omitempty"`
}
