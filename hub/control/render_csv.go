package control

import (
	"bytes"

	"github.com/telemetry-hub/telemetry-hub/store/history"
)

// csv renders RFC 4180 with LF line ends and the columns time,device,channel,value; the time is RFC 3339 in UTC with
// nanoseconds.
type csv struct{}

const nanoTime = "2006-01-02T15:04:05.000000000Z"

func (csv) begin(dst []byte) []byte { return append(dst, "time,device,channel,value\n"...) }

func (csv) reading(dst []byte, r *history.Reading) []byte {
	dst = r.Time.UTC().AppendFormat(dst, nanoTime)
	dst = append(dst, ',')
	dst = quoteField(append(dst, r.Device...), len(r.Device))
	dst = append(dst, ',')
	dst = quoteField(append(dst, r.Channel.Name...), len(r.Channel.Name))
	dst = append(dst, ',')
	start := len(dst)
	dst = r.Value.AppendText(dst)
	dst = quoteField(dst, len(dst)-start)
	return append(dst, '\n')
}

func (csv) end(dst []byte) []byte { return dst }

// quoteField quotes the last n bytes of dst if CSV needs it.
func quoteField(dst []byte, n int) []byte {
	field := dst[len(dst)-n:]
	if !bytes.ContainsAny(field, ",\"\r\n") {
		return dst
	}
	quoted := bytes.ReplaceAll(field, []byte(`"`), []byte(`""`))
	dst = append(dst[:len(dst)-n], '"')
	dst = append(dst, quoted...)
	return append(dst, '"')
}
