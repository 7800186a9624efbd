package render

import (
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/text"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

// CSV renders readings as RFC 4180 with LF line ends and the columns time, device, channel, value, unit and time_quality. Texts
// that a device chose neither become formulas nor reach a terminal as they are, see text.AppendCSV.
type CSV struct{}

// Begin appends the names of the columns.
func (CSV) Begin(dst []byte) []byte {
	return append(dst, "time,device,channel,value,unit,time_quality\n"...)
}

// Append appends a row.
func (CSV) Append(dst []byte, r *history.Reading) []byte {
	dst = r.Time.UTC().AppendFormat(dst, Time)
	dst = append(dst, ',')
	dst = append(dst, r.Device...) // an id needs no quotes
	dst = append(dst, ',')
	dst = text.AppendCSV(dst, r.Channel.Name)
	dst = append(dst, ',')
	if r.Value.Type == device.String {
		dst = text.AppendCSV(dst, r.Value.Text)
	} else {
		dst = r.Value.AppendText(dst)
	}
	dst = append(dst, ',')
	dst = text.AppendCSV(dst, r.Channel.Unit)
	dst = append(dst, ',')
	dst = append(dst, qualityWord(r.Quality)...)
	return append(dst, '\n')
}

// End appends nothing.
func (CSV) End(dst []byte) []byte { return dst }
