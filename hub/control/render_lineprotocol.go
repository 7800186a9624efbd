package control

import (
	"cmp"
	"slices"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

// lineProtocol renders InfluxDB line protocol: one line for the channels of one sample, measurement = the device's kind,
// tags = device and the registry's labels, numbers always as floats, time in ns. Line protocol has no NaN and no
// infinities, no empty tags: those are left out.
type lineProtocol struct {
	measurement string
	tags        []tag // sorted by key
	enc         lineprotocol.Encoder
	text        []byte

	open    bool      // a line is begun
	time    time.Time // of that line
	channel uint16    // id of its last field
}

type tag struct{ key, value string }

func newLineProtocol(d *store.Device) *lineProtocol {
	l := &lineProtocol{measurement: d.Kind, tags: []tag{{"device", d.ID}}}
	for k, v := range d.Labels {
		if v != "" {
			l.tags = append(l.tags, tag{k, v})
		}
	}
	slices.SortFunc(l.tags, func(a, b tag) int { return cmp.Compare(a.key, b.key) })
	l.enc.SetPrecision(lineprotocol.Nanosecond)
	return l
}

func (l *lineProtocol) begin(dst []byte) []byte { return dst }

func (l *lineProtocol) reading(dst []byte, r *history.Reading) ([]byte, error) {
	value, ok := l.value(r)
	if !ok {
		return dst, nil
	}
	var err error
	// The readings of one sample come with the same time and in the order of their channels' ids.
	if l.open && !(r.Time.Equal(l.time) && r.Channel.ID > l.channel) {
		dst, err = l.end(dst)
	}
	if !l.open {
		l.open, l.time = true, r.Time
		l.enc.StartLine(l.measurement)
		for _, t := range l.tags {
			l.enc.AddTag(t.key, t.value)
		}
	}
	l.channel = r.Channel.ID
	l.enc.AddField(r.Channel.Name, value)
	return dst, err
}

func (l *lineProtocol) end(dst []byte) ([]byte, error) {
	if !l.open {
		return dst, nil
	}
	l.open = false
	l.enc.EndLine(l.time)
	err := l.enc.Err()
	dst = append(dst, l.enc.Bytes()...)
	l.enc.Reset()
	return dst, err
}

func (l *lineProtocol) value(r *history.Reading) (lineprotocol.Value, bool) {
	switch r.Channel.Type {
	case device.Bool:
		return lineprotocol.BoolValue(r.Value.Bits != 0), true
	case device.String:
		return lineprotocol.StringValue(r.Value.Text)
	}
	// Through its text a 32-bit float keeps the digits the device meant: 23.18, not 23.18000030517578.
	l.text = r.Value.AppendText(l.text[:0])
	v, err := lineprotocol.NewValueFromBytes(lineprotocol.Float, l.text)
	return v, err == nil
}
