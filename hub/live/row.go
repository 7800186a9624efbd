package live

import (
	"encoding/hex"
	"encoding/json"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// listed is how many channels a row of a list shows.
const listed = 3

// rowOf makes the row of e. It has the values of the first channels, and of those only the ones that changed after since.
func rowOf(e *entry, channels int, since uint64) Row {
	r := Row{
		ID: e.id, Kind: e.kind, Labels: e.labels, State: e.state, Since: millis(e.stateFrom), Connected: e.connected,
		Seen: millis(e.seen), Firmware: e.firmware, Model: e.model, Rejected: e.rejected, Holes: e.holes, Lost: e.lost,
	}
	if wrongClock(e.skew) {
		r.Skew = millis(e.skew)
	}
	for i := range e.values[:min(channels, len(e.values))] {
		v, ch := &e.values[i], &e.schema.Channels[i]
		if v.time == noTime || since > 0 && v.changed <= since {
			continue
		}
		if r.Values == nil {
			r.Values = make([]Value, 0, min(channels, len(e.values))-i)
		}
		raw, text := present(device.Value{Type: ch.Type, Scale: ch.Scale, Bits: v.bits, Text: v.text})
		r.Values = append(r.Values, Value{
			Channel: ch.ID, Name: ch.Name, Unit: ch.Unit, Type: ch.Type.String(), Value: raw, Text: text,
			Time: millis(v.time), State: v.state, Expect: millis(e.expectedOf(ch)),
		})
	}
	return r
}

// present writes a value as JSON and as people do.
func present(v device.Value) (raw json.RawMessage, text string) {
	return v.AppendJSON(nil), string(v.AppendText(nil))
}

// appendRow appends the row of e as it stands in lists. It is encoded once for each change, and only if somebody asks.
func (f *Feed) appendRow(dst []byte, e *entry) []byte {
	if e.row == nil {
		e.row, _ = json.Marshal(rowOf(e, listed, 0)) // nothing in it can fail
	}
	e.rowUsed = f.open()
	return append(dst, e.row...)
}

// SchemaOf describes a device's schema, nil for nil.
func SchemaOf(s *device.Schema, hash device.Hash) *Schema {
	if s == nil {
		return nil
	}
	d := &Schema{Hash: hex.EncodeToString(hash[:]), Channels: make([]Channel, len(s.Channels)), Commands: make([]Command, len(s.Commands))}
	for i := range s.Channels {
		c := &s.Channels[i]
		d.Channels[i] = Channel{ID: c.ID, Name: c.Name, Unit: c.Unit, Type: c.Type.String(), Scale: c.Scale, Interval: c.Interval, Writable: c.Writable}
	}
	confirm := [...]string{device.ConfirmNone: "none", device.ConfirmAsk: "ask", device.ConfirmTyped: "typed"}
	for i := range s.Commands {
		c := &s.Commands[i]
		d.Commands[i] = Command{
			Name: c.Name, Confirm: confirm[min(int(c.Confirm), len(confirm)-1)], Supersedes: c.Supersedes, Idempotent: c.Idempotent,
			Args: make([]Argument, len(c.Args)),
		}
		for j := range c.Args {
			a := &c.Args[j]
			d.Commands[i].Args[j] = Argument{Name: a.Name, Type: a.Type.String(), Unit: a.Unit, Min: a.Min, Max: a.Max, Optional: a.Optional}
		}
	}
	return d
}
