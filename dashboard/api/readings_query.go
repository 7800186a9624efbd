package api

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
)

// rawQuery is a request for raw readings.
type rawQuery struct {
	devices  []devices.Device
	channels []string
	from, to time.Time
	limit    int       // 0: all
	at       time.Time // where the first device goes on; zero: at from
	skip     int       // its readings at that moment that were on the page before
}

func (a *API) readRawQuery(r *http.Request) (rawQuery, error) {
	q := readQuery(r)
	ids := distinct(q.texts("device", maxDevices)) // a cursor names a device, which is at one place
	out := rawQuery{
		channels: q.texts("channel", device.MaxChannels), from: q.moment("from", a.now()), to: q.moment("to", a.now()),
		limit: int(q.number("limit", 0, 1, maxReadings)),
	}
	if len(ids) == 0 {
		q.bad("device is missing: name one or more")
	}
	if !out.to.IsZero() && !out.from.Before(out.to) {
		q.bad("from is not before to")
	}
	if cursor := q.text("cursor"); cursor != "" {
		if out.limit == 0 {
			q.bad("cursor needs a limit")
		}
		at := slices.Index(ids, out.resume(cursor))
		if at < 0 {
			q.bad("cursor is what an answer to the same request had as next")
		} else {
			ids = ids[at:]
		}
	}
	if err := q.end(); err != nil {
		return out, err
	}
	for _, id := range ids {
		dev, err := a.store.Devices.Get(id)
		if err != nil {
			return out, err
		}
		out.devices = append(out.devices, dev)
	}
	return out, nil
}

// distinct leaves out what was there before.
func distinct(list []string) []string {
	seen := make(map[string]bool, len(list))
	return slices.DeleteFunc(list, func(s string) bool {
		before := seen[s]
		seen[s] = true
		return before
	})
}

// cursorOf names the place behind n readings of a device at the moment t.
func cursorOf(id string, t time.Time, n int) string {
	return fmt.Sprintf("%s:%d:%d", id, t.UnixMicro(), n) // an id has no colon
}

// resume goes on at the place that a cursor names, and returns the device there, "" if it is none.
func (q *rawQuery) resume(cursor string) (id string) {
	id, rest, _ := strings.Cut(cursor, ":")
	at, n, _ := strings.Cut(rest, ":")
	micros, err := strconv.ParseInt(at, 10, 64)
	skip, err2 := strconv.ParseUint(n, 10, 31)
	if err != nil || err2 != nil {
		return ""
	}
	q.at, q.skip = time.UnixMicro(micros), int(skip)
	return id
}

// wantedChannels is what is wanted of a device. A channel that it no longer has is only missed if there are no readings of it.
type wantedChannels struct {
	device string
	schema *device.Schema
	all    []string
	unseen []string
}

// channelsOf finds the channels that are wanted, by number or name. An earlier schema may have had others: those are taken by name.
func (a *API) channelsOf(id string, wanted []string) *wantedChannels {
	c := &wantedChannels{device: id, schema: &device.Schema{}}
	if schema, ok := a.store.DeviceSchema(id); ok {
		c.schema = schema
	}
	for _, name := range wanted {
		if ch := find(c.schema, name); ch != nil {
			name = ch.Name
		} else {
			c.unseen = append(c.unseen, name)
		}
		if !slices.Contains(c.all, name) {
			c.all = append(c.all, name)
		}
	}
	return c
}

// have notes that there is a reading of a channel.
func (c *wantedChannels) have(name string) {
	if len(c.unseen) > 0 {
		c.unseen = slices.DeleteFunc(c.unseen, func(n string) bool { return n == name })
	}
}

// missing is the problem that the device does not have one of the channels, nil if it has or had all of them.
func (c *wantedChannels) missing() *Problem {
	if len(c.unseen) == 0 {
		return nil
	}
	p := &Problem{Status: http.StatusNotFound, Code: "no_channel", Detail: fmt.Sprintf("%s has no channel %q", c.device, c.unseen[0])}
	var names []string
	for i := range c.schema.Channels {
		names = append(names, c.schema.Channels[i].Name)
	}
	if len(names) > 0 {
		p.Hint = "its channels are " + strings.Join(names, ", ")
	}
	return p
}
