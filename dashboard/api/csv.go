package api

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

	// slowest is how many bytes a second have to be read of a download, or it would keep its place for ever. A mobile connection of
	// the second generation does more.
	slowest = 16 << 10
)

// download sends raw readings as CSV, of these channels or of all. What it needs of memory does not depend on how many
// readings there are. A last line that begins with # says what is missing, if something is known to be. If it can't send what there
// is, it breaks the connection: a file that ends early must not look whole.
func (a *API) download(w http.ResponseWriter, r *http.Request, by Caller, q history.Query, channels []*device.Channel) {
	if a.downloads.Enter(r.Context(), by.party()) != nil {
		TryLater(w, http.StatusServiceUnavailable, 10*time.Second, "busy", "too many downloads at this moment, of this account or of all")
		return
	}
	defer a.downloads.Leave(by.party())
	for _, ch := range channels {
		q.Channels = append(q.Channels, ch.Name)
	}
	header := w.Header()
	header.Set("Content-Type", "text/csv; charset=utf-8; header=present")
	header.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s.csv"`, q.Device)) // an id needs no quoting
	header.Set("Cache-Control", "no-store")
	to := &pieceWriter{to: w, left: answerTime}
	out := bufio.NewWriterSize(to, csvBuffer)
	rows := a.store.Readings(r.Context(), q)
	_, err := out.WriteString("time,device,channel,value,unit\n")
	var row []byte
	for reading, readErr := range rows {
		if _, some := errors.AsType[*history.IncompleteError](readErr); some && err == nil {
			_, err = out.WriteString("# " + readErr.Error() + "\n") // all there is stands above
			break
		}
		if readErr != nil && !to.began {
			header.Del("Content-Disposition")
			a.Failed(w, readErr)
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

// pieceWriter gives the reader time, and more of it for each piece that has been read.
type pieceWriter struct {
	to    http.ResponseWriter
	began bool
	left  time.Duration // answerTime at most, which bridges a break
}

func (w *pieceWriter) Write(b []byte) (int, error) {
	w.began = true
	began := time.Now()
	// A connection without deadlines, as in tests, needs none.
	_ = http.NewResponseController(w.to).SetWriteDeadline(began.Add(w.left))
	n, err := w.to.Write(b)
	w.left = min(w.left-time.Since(began)+time.Duration(n)*time.Second/slowest, answerTime)
	return n, err
}
