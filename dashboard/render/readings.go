// Package render puts what the hub answers into the forms in which people and programs take it: tables, CSV, JSON, one JSON
// object a line, InfluxDB line protocol. The command line and the API print through it, so that a value looks the same wherever
// it is read.
package render

import (
	"github.com/telemetry-hub/telemetry-hub/store/history"
	"github.com/telemetry-hub/telemetry-hub/store/tail"
)

// Time is the layout of every time of a reading, which is in UTC: RFC 3339 with microseconds, all that a device sends.
const Time = "2006-01-02T15:04:05.000000Z"

// Readings appends readings to a buffer in one form. It may hold readings back until it has seen the next; End appends what it
// holds.
type Readings interface {
	Begin(dst []byte) []byte
	Append(dst []byte, r *history.Reading) []byte
	End(dst []byte) []byte
}

// qualityWord says where a reading's time comes from, if that is not the device's own clock.
func qualityWord(q tail.Quality) string {
	switch q {
	case tail.QualityConverted:
		return "converted"
	case tail.QualityReceived:
		return "received"
	case tail.QualityDoubtful:
		return "doubtful"
	}
	return ""
}
