package settings

import (
	"fmt"
	"math"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

// writable returns a channel that can be set.
func (s *Store) writable(deviceID, channel string) (*device.Channel, error) {
	schema, err := s.commandable(deviceID)
	if err != nil {
		return nil, err
	}
	if ch, ok := schema.Setting(channel); ok {
		return ch, nil
	}
	e := &CommandError{ErrBadCommand, fmt.Sprintf("%s has no writable channel %q", deviceID, channel), "it has none at all"}
	hint := ""
	for i := range schema.Channels {
		if schema.Channels[i].Writable {
			hint += ", " + schema.Channels[i].Name
		}
	}
	if hint != "" {
		e.Hint = "it has " + hint[2:]
	}
	return nil, e
}

// settingValue puts a desired value into the form in which it is kept and sent: the one in which a reading of it comes back.
func settingValue(ch *device.Channel, value any) (any, error) {
	arg := ch.SettingArg()
	if arg.Type == device.Int {
		value = wholeNumber(value)
	}
	value, err := arg.Check(value)
	if err != nil {
		return nil, &CommandError{ErrBadCommand, fmt.Sprintf("%s %v", ch.Name, err), ""}
	}
	if f, ok := value.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return nil, &CommandError{ErrBadCommand, fmt.Sprintf("%s must be a finite number", ch.Name), ""}
	}
	if text, ok := value.(string); ok && len(text) > device.MaxString {
		return nil, &CommandError{ErrBadCommand, fmt.Sprintf("%s has %d bytes, at most %d fit", ch.Name, len(text), device.MaxString), ""}
	}
	switch f, _ := value.(float64); {
	case ch.Scale != 0:
		step := math.Pow10(int(ch.Scale))
		raw := math.Round(f / step)
		nearest, _ := device.Value{Type: device.Int, Scale: ch.Scale, Bits: uint64(int64(raw))}.Float()
		if math.Abs(raw) > 1<<53 || math.Abs(nearest-f) > 1e-9*math.Max(1, math.Abs(f)) {
			return nil, &CommandError{ErrBadCommand, fmt.Sprintf("%s cannot be %v", ch.Name, f), fmt.Sprintf("it has steps of %v", step)}
		}
		return nearest, nil
	case ch.Type == device.Float32:
		return float64(float32(f)), nil
	}
	return value, nil
}

// ParseSetting reads a desired value from text, as people type it. What cannot be read stays a text, and SetDesired says what it
// should have been.
func (s *Store) ParseSetting(deviceID, channel, text string) any {
	ch, err := s.writable(deviceID, channel)
	if err != nil {
		return text
	}
	return parseValue(ch.SettingArg().Type, text)
}

// plainOf is a value as a command carries it.
func plainOf(v device.Value) any {
	switch {
	case v.Type == device.Bool:
		return v.Bits != 0
	case v.Type == device.String:
		return v.Text
	case v.Type == device.Int && v.Scale == 0:
		return int64(v.Bits)
	}
	f, _ := v.Float()
	return finiteValue(f)
}

// met says whether the device reports the desired value. Floats are compared as 32-bit ones: a device may calculate in those.
func (s *Setting) met() bool {
	desired, isFloat := s.Desired.(float64)
	reported, ok := s.Reported.(float64)
	if isFloat && ok {
		return float32(desired) == float32(reported)
	}
	return s.Reported != nil && s.Desired == s.Reported
}

// settingRecord is a setting in hub.db.
type settingRecord struct {
	Channel    string        `cbor:"1,keyasint"`
	Desired    any           `cbor:"2,keyasint"`
	By         string        `cbor:"3,keyasint,omitempty"`
	From       string        `cbor:"4,keyasint,omitempty"`
	Set        int64         `cbor:"5,keyasint"` // ns since 1970
	Status     SettingStatus `cbor:"6,keyasint"`
	Since      int64         `cbor:"7,keyasint"`
	Reason     string        `cbor:"8,keyasint,omitempty"`
	Reported   any           `cbor:"9,keyasint,omitempty"`
	ReportedAt int64         `cbor:"10,keyasint,omitempty"`
}

// saveSettings writes the settings of one device.
func saveSettings(tx *bbolt.Tx, id string, d *deviceCommands) error {
	b := tx.Bucket(hubdb.BucketDesired)
	if d == nil || len(d.settings) == 0 {
		return b.Delete([]byte(id))
	}
	records := make([]settingRecord, 0, len(d.settings))
	for _, s := range d.settings {
		r := settingRecord{
			Channel: s.Channel, Desired: s.Desired, By: s.By, From: s.From, Set: s.Set.UnixNano(), Status: s.Status,
			Since: s.Since.UnixNano(), Reason: s.Reason, Reported: s.Reported,
		}
		if !s.ReportedAt.IsZero() {
			r.ReportedAt = nanos(s.ReportedAt)
		}
		records = append(records, r)
	}
	return hubdb.Put(b, []byte(id), hubdb.Encode(records))
}

func (b *commandBook) loadSettings(s *Store, tx *bbolt.Tx) error {
	return s.db.Each(tx, hubdb.BucketDesired, func(k, v []byte) error {
		var records []settingRecord
		if err := cbor.Unmarshal(v, &records); err != nil {
			return err
		}
		for i := range records {
			if r := &records[i]; !settable(r.Desired) || r.Reported != nil && !settable(r.Reported) {
				return hubdb.ErrRecord
			}
		}
		d := b.of(string(k))
		for i := range records {
			r := &records[i]
			d.settings[r.Channel] = &Setting{
				Device: string(k), Channel: r.Channel, Desired: signed(r.Desired), By: r.By, From: r.From, Set: moment(r.Set), Status: r.Status,
				Since: moment(r.Since), Reason: r.Reason, Reported: signed(r.Reported), ReportedAt: moment(r.ReportedAt),
			}
		}
		return nil
	})
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
