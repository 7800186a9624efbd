package hub

import (
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
)

// setting is what a session knows of one writable channel of its device.
type setting struct {
	channel *device.Channel
	known   bool
	at      int64 // µs since 1970, of the newest reading
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

// reported looks whether a frame says something new of the device's writable channels. Most frames do not.
func (s *session) reported(d *device.Data, offset int64) {
	var news []store.Reported
	for i := range s.settings {
		set := &s.settings[i]
		for c := range d.Columns {
			if d.Columns[c].ID == set.channel.ID && set.read(&d.Columns[c], d.Times, offset) {
				news = append(news, store.Reported{Channel: set.channel.Name, Value: set.value, Time: device.Moment(set.at)})
			}
		}
	}
	if len(news) > 0 {
		c := &s.courier
		c.post(s, func() { c.reports = append(c.reports, news...) })
	}
}

// read takes in a column and says whether the newest value is another one than before.
func (set *setting) read(c *device.Column, times []int64, offset int64) (news bool) {
	before, known := set.value, set.known
	for i, t := range times {
		v, ok := c.Value(i, set.channel)
		if !ok || set.known && t+offset < set.at {
			continue
		}
		set.known, set.at, set.value = true, t+offset, v
	}
	return set.known && (!known || set.value != before)
}
