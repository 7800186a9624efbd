package history

import (
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/device/text"
)

// AppendCSV appends a reading as a row of CSV: time, in layout and UTC, device, channel, value and, if asked for, unit. Texts
// that a device chose neither become formulas nor reach a terminal as they are, see text.AppendCSV.
func (r *Reading) AppendCSV(dst []byte, layout string, unit bool) []byte {
	dst = r.Time.UTC().AppendFormat(dst, layout)
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
	if unit {
		dst = append(dst, ',')
		dst = text.AppendCSV(dst, r.Channel.Unit)
	}
	return append(dst, '\n')
}
