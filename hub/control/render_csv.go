package control

import "github.com/telemetry-hub/telemetry-hub/store/history"

// csv renders RFC 4180 with LF line ends and the columns time,device,channel,value; the time is RFC 3339 in UTC with
// nanoseconds.
type csv struct{}

const nanoTime = "2006-01-02T15:04:05.000000000Z"

func (csv) begin(dst []byte) []byte { return append(dst, "time,device,channel,value\n"...) }

func (csv) reading(dst []byte, r *history.Reading) []byte { return r.AppendCSV(dst, nanoTime, false) }

func (csv) end(dst []byte) []byte { return dst }
