package settings

import (
	"math"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

// record is a setting in hub.db.
type record struct {
	Channel    string `cbor:"1,keyasint"`
	Desired    any    `cbor:"2,keyasint"`
	By         string `cbor:"3,keyasint,omitempty"`
	From       string `cbor:"4,keyasint,omitempty"`
	Set        int64  `cbor:"5,keyasint"` // ns since 1970
	Status     Status `cbor:"6,keyasint"`
	Since      int64  `cbor:"7,keyasint"`
	Reason     string `cbor:"8,keyasint,omitempty"`
	Reported   any    `cbor:"9,keyasint,omitempty"`
	ReportedAt int64  `cbor:"10,keyasint,omitempty"`
}

func (d byChannel) encode() []byte {
	records := make([]record, 0, len(d))
	for _, s := range d {
		r := record{
			Channel: s.Channel, Desired: s.Desired, By: s.By, From: s.From, Set: s.Set.UnixNano(), Status: s.Status,
			Since: s.Since.UnixNano(), Reason: s.Reason, Reported: s.Reported,
		}
		if !s.ReportedAt.IsZero() {
			r.ReportedAt = nanos(s.ReportedAt)
		}
		records = append(records, r)
	}
	return hubdb.Encode(records)
}

// decode reads what encode wrote.
func decode(deviceID string, v []byte) (byChannel, error) {
	var records []record
	if err := cbor.Unmarshal(v, &records); err != nil {
		return nil, err
	}
	d := byChannel{}
	for i := range records {
		r := &records[i]
		if !settable(r.Desired) || r.Reported != nil && !settable(r.Reported) {
			return nil, hubdb.ErrRecord
		}
		d[r.Channel] = &Setting{
			Device: deviceID, Channel: r.Channel, Desired: signed(r.Desired), By: r.By, From: r.From, Set: hubdb.Time(r.Set), Status: r.Status,
			Since: hubdb.Time(r.Since), Reason: r.Reason, Reported: signed(r.Reported), ReportedAt: hubdb.Time(r.ReportedAt),
		}
	}
	return d, nil
}

// settable says whether a value read from hub.db is one that a channel can have, and so one that every answer has a form for.
func settable(v any) bool {
	switch v := signed(v).(type) {
	case bool, int64, string:
		return true
	case float64:
		return !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	return false
}

// signed makes the integers that CBOR gives back those that were written.
func signed(v any) any {
	if n, ok := v.(uint64); ok {
		return int64(n)
	}
	return v
}

// nanos is t in ns since 1970, or the lowest or highest number if 64 bits can't hold that: a device may send any time.
func nanos(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}
