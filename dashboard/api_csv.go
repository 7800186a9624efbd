package dashboard

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

const (
	csvBuffer = 64 << 10 // bytes rendered before they are sent on
	csvTime   = "2006-01-02T15:04:05.000000Z"
)

// download sends raw readings as CSV, of these channels or of all. What it needs of memory does not depend on how many
// readings there are. A last line that begins with # says what is missing, if something is known to be. If it can't send what there
// is, it breaks the connection: a file that ends early must not look whole.
func (d *Dashboard) download(w http.ResponseWriter, r *http.Request, q history.Query, channels []*device.Channel) {
	select {
	case d.downloads <- struct{}{}:
		defer d.downloads.leave()
	default:
		tryLater(w, http.StatusServiceUnavailable, 10*time.Second, "too many downloads at this moment")
		return
	}
	for _, ch := range channels {
		q.Channels = append(q.Channels, ch.Name)
	}
	header := w.Header()
	header.Set("Content-Type", "text/csv; charset=utf-8; header=present")
	header.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s.csv"`, q.Device)) // an id needs no quoting
	header.Set("Cache-Control", "no-store")
	to := &pieceWriter{to: w}
	out := bufio.NewWriterSize(to, csvBuffer)
	rows := d.store.Readings(r.Context(), q)
	_, err := out.WriteString("time,device,channel,value,unit\n")
	var row []byte
	for reading, readErr := range rows {
		if _, some := errors.AsType[*history.IncompleteError](readErr); some && err == nil {
			_, err = out.WriteString("# " + readErr.Error() + "\n") // all there is stands above
			break
		}
		if readErr != nil && !to.began {
			header.Del("Content-Disposition")
			d.failed(w, readErr)
			return
		}
		if err != nil || readErr != nil {
			panic(http.ErrAbortHandler)
		}
		row = reading.AppendCSV(row[:0], csvTime, true)
		_, err = out.Write(row)
	}
	if out.Flush() != nil { // which knows of earlier failures, too
		panic(http.ErrAbortHandler)
	}
}

// pieceWriter gives the reader time for each piece.
type pieceWriter struct {
	to    http.ResponseWriter
	began bool
}

func (w *pieceWriter) Write(b []byte) (int, error) {
	w.began = true
	patient(w.to)
	return w.to.Write(b)
}
