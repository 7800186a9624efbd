package render

import (
	"encoding/json"
	"math"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

// NDJSON renders readings as one JSON object a line: time, device, channel, value and, where there is something to say, unit and
// time_quality (converted, received or doubtful). Numbers keep every digit; NaN and the infinities, which JSON lacks, are the
// strings "NaN", "Infinity" and "-Infinity".
type NDJSON struct{}

// Begin appends nothing.
func (NDJSON) Begin(dst []byte) []byte { return dst }

// Append appends a line.
func (NDJSON) Append(dst []byte, r *history.Reading) []byte {
	dst = append(dst, `{"time":"`...)
	dst = r.Time.UTC().AppendFormat(dst, Time)
	dst = append(dst, `","device":`...)
	dst = appendJSONString(dst, r.Device)
	dst = append(dst, `,"channel":`...)
	dst = appendJSONString(dst, r.Channel.Name)
	dst = append(dst, `,"value":`...)
	dst = appendJSONValue(dst, r)
	if r.Channel.Unit != "" {
		dst = append(dst, `,"unit":`...)
		dst = appendJSONString(dst, r.Channel.Unit)
	}
	if q := qualityWord(r.Quality); q != "" {
		dst = append(dst, `,"time_quality":"`...)
		dst = append(dst, q...)
		dst = append(dst, '"')
	}
	return append(dst, "}\n"...)
}

// End appends nothing.
func (NDJSON) End(dst []byte) []byte { return dst }

func appendJSONValue(dst []byte, r *history.Reading) []byte {
	switch r.Channel.Type {
	case device.String:
		return appendJSONString(dst, r.Value.Text)
	case device.Float32, device.Float64:
		f := math.Float64frombits(r.Value.Bits)
		switch {
		case math.IsNaN(f):
			return append(dst, `"NaN"`...)
		case math.IsInf(f, 1):
			return append(dst, `"Infinity"`...)
		case math.IsInf(f, -1):
			return append(dst, `"-Infinity"`...)
		}
	}
	return r.Value.AppendText(dst)
}

func appendJSONString(dst []byte, s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always has a JSON form
	}
	return append(dst, b...)
}
