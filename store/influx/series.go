// Package influx writes frames to InfluxDB 1.8, 2.x and 3.x: it encodes them as line protocol, sends them to
// /api/v2/write, says what each answer means, and finds the lines in a batch that the server refuses.
//
// # What a frame becomes
//
// Each sample is a line: measurement = the device's kind, tags = device and the registry's labels, fields = the channels
// by their names, time in ns. InfluxDB keeps one value for each series, time and field, so a line that is sent twice is
// there once; two samples of one device with the same time become one point, in which the field sent last wins.
//
//   - Numbers are always floats, whatever the channel's type, so that no firmware update runs into a field type conflict.
//     An integer beyond 2⁵³, or one with a scale, becomes the nearest float64. A 32-bit float becomes the float64 with the
//     same shortest decimal digits: 23.18, not 23.18000030517578.
//   - NaN and infinities do not exist there: such a field is left out, and counted.
//   - Bools stay bools. Strings stay strings, with quotes, backslashes and control characters, the empty one included;
//     only tabs, line feeds and carriage returns arrive as the two characters \t, \n and \r. telemetry.v1 bounds strings
//     to 1 KiB, far below the server's 64 KiB.
//   - A sample without fields has no line. A sample whose time is not within the years 1677 to 2262 has none either, and
//     its readings are counted.
//   - Names and labels keep spaces, commas, equals signs, quotes and backslashes. What the server can't hold gets an
//     underscore behind it: a backslash at the end or before a space, comma, equals sign or quote, a label called time or
//     device, a channel called time, device or like one of the device's labels: InfluxQL and Flux confuse a field with the tag
//     of its name, and 3.x refuses the line.
package influx

import (
	"cmp"
	"maps"
	"regexp"
	"slices"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// Series is what the lines of one device under one schema have in common.
type Series struct {
	device      string
	measurement string
	tags        []tag // sorted by key
	schema      *device.Schema
	fields      []string // the names of the schema's channels, in their order
}

type tag struct{ key, value string }

// NewSeries returns the series of a device: its kind, id and labels are what the registry allows, its schema what
// telemetry.v1 allows.
func NewSeries(kind, deviceID string, labels map[string]string, schema *device.Schema) *Series {
	keys := slices.Sorted(maps.Keys(labels))
	s := &Series{
		device: deviceID, measurement: kind, schema: schema,
		tags: []tag{{"device", deviceID}},
	}
	reserved := []string{"device", "time"}
	for i, key := range unique(keys, reserved...) {
		s.tags = append(s.tags, tag{key, holdable(labels[keys[i]])})
		reserved = append(reserved, key)
	}
	slices.SortFunc(s.tags, func(a, b tag) int { return cmp.Compare(a.key, b.key) })

	names := make([]string, len(schema.Channels))
	for i := range schema.Channels {
		names[i] = schema.Channels[i].Name
	}
	s.fields = unique(names, reserved...)
	return s
}

// unique returns names, which are unique, in the form the server can hold, still unique and none of them reserved.
func unique(names []string, reserved ...string) []string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = holdable(name)
		for slices.Contains(reserved, list[i]) || list[i] != name && slices.Contains(names, list[i]) || slices.Contains(list[:i], list[i]) {
			list[i] += "_"
		}
	}
	return list
}

// ambiguous is a backslash that line protocol would take for the escape of what follows it: it can't escape a backslash.
var ambiguous = regexp.MustCompile(`\\([ ,="]|$)`)

// holdable returns a name or tag value in a form that the server can hold.
func holdable(s string) string { return ambiguous.ReplaceAllString(s, `\_$1`) }
