package hub

import (
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/settings"
)

// setting is what a session knows of one writable channel of its device.
type setting struct {
	channel *device.Channel
	known   bool
	at      int64 // µs since 1970, of the newest reading or, if that is in the future, of its receipt
	value   device.Value
}

// settingsOf returns the writable channels of a schema.
func settingsOf(schema *device.Schema) (list []setting) {
	for i := range schema.Channels {
		if schema.Channels[i].Writable {
			list = append(list, setting{channel: &schema.Channels[i]})
		}
	}
	return list
}

// reported looks whether a frame, received at that moment (µs), says something new of the device's writable channels. Most frames
// do not. The times of a wrong clock are put right by how wrong HELLO has shown it to be, or nothing would ever be new.
func (s *session) reported(d *device.Data, offset, received int64) {
	if seen, base := s.measured.Load(), s.hub.store.Clock().Base(); seen.wrong(base) && d.Clock == device.ClockWall {
		offset -= seen.ahead(base).Microseconds()
	}
	var news []settings.Reported
	for i := range s.settings {
		set := &s.settings[i]
		for c := range d.Columns {
			if d.Columns[c].ID == set.channel.ID && set.read(&d.Columns[c], d.Times, offset, received) {
				news = append(news, settings.Reported{Channel: set.channel.Name, Value: set.value, Time: device.Moment(set.at)})
			}
		}
	}
	if len(news) > 0 {
		c := &s.delivery
		c.post(s, func() { c.report(news) })
	}
}

// read takes in a column and says whether the newest value is another one than before. Readings ahead of the hub's clock count as of
// their receipt, or not at all if they are too far ahead.
func (set *setting) read(c *device.Column, times []int64, offset, received int64) (news bool) {
	if set.at > received { // the hub's clock was set back
		set.known = false
	}
	before, known, newest := set.value, set.known, set.at
	for i, t := range times {
		t += offset
		v, ok := c.Value(i, set.channel)
		if !ok || t > received+maxFuture.Microseconds() || set.known && t < newest {
			continue
		}
		set.known, set.value, newest = true, v, t
	}
	set.at = min(newest, received)
	return set.known && (!known || set.value != before)
}
