package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

const (
	streamBuffer = 64 << 10 // bytes rendered before they are sent on
	maxReadings  = 10_000   // in a page
	maxDevices   = 1000     // in one request

	// MaxDownloads is how many downloads of raw readings there may be at a time: each keeps its place until it has been read.
	MaxDownloads      = 8
	MaxDownloadsOfOne = 2 // account

	// slowest is how many bytes a second have to be read of a download, or it would keep its place for ever. A mobile connection of
	// the second generation does more.
	slowest = 16 << 10
)

const (
	// ErrorField is the trailer that says, as a Problem, what is wrong with readings that were sent before that was known.
	ErrorField = "Telemetry-Hub-Error"
	// CursorField is the header with the cursor behind a page of readings, also behind the last: what comes later is behind it.
	CursorField = "Telemetry-Hub-Cursor"
)

// form is one of the forms in which there are raw readings.
type form struct {
	mediaType string
	extension string
	render    func(*devices.Device) render.Readings
	remark    func(text string) string // a line that is no reading; what it says ends without a dot
}

var (
	formNDJSON = form{"application/x-ndjson", "ndjson", func(*devices.Device) render.Readings { return render.NDJSON{} }, func(text string) string {
		line, _ := json.Marshal(map[string]string{"incomplete": text}) // which texts always can
		return string(line)
	}}
	formCSV = form{"text/csv; charset=utf-8; header=present", "csv", func(*devices.Device) render.Readings { return render.CSV{} },
		func(text string) string { return "# " + text }}
	formLineProtocol = form{"text/plain; charset=utf-8", "lp", func(d *devices.Device) render.Readings { return render.NewLineProtocol(d.Kind, d.Labels) },
		func(text string) string { return "# " + text }}
)

// serveRaw answers with raw readings in one form: without a limit all of them, as they are read, else a page.
func (a *API) serveRaw(f form) func(http.ResponseWriter, *http.Request, Caller) {
	return func(w http.ResponseWriter, r *http.Request, by Caller) {
		q, err := a.readRawQuery(r)
		switch {
		case err != nil:
			a.Failed(w, err)
		case q.limit > 0:
			a.servePage(w, r, by, f, q)
		default:
			a.download(w, r, by, f, q)
		}
	}
}

// begin sets what both ways of answering have.
func (f *form) begin(header http.Header) {
	header.Set("Content-Type", f.mediaType)
	header.Set("Cache-Control", "no-store")
	header.Set("Trailer", ErrorField)
}

// servePage answers with a page. It is rendered before it is sent, so that the headers can say how it goes on.
func (a *API) servePage(w http.ResponseWriter, r *http.Request, by Caller, f form, q rawQuery) {
	if err := a.sums.Enter(r.Context(), by.party()); err != nil {
		a.refuseTurn(w, err)
		return
	}
	defer a.sums.Leave(by.party())
	var body bytes.Buffer
	cursor := r.URL.Query().Get("cursor")
	more, problem, err := a.write(r, by, f, q, &body, &cursor)
	if err != nil {
		if gone(r, by) {
			panic(http.ErrAbortHandler)
		}
		a.Failed(w, err)
		return
	}
	f.begin(w.Header())
	if cursor != "" {
		w.Header().Set(CursorField, cursor)
	}
	if more {
		values := r.URL.Query()
		values.Set("cursor", cursor)
		w.Header().Set("Link", "<"+r.URL.Path+"?"+values.Encode()+`>; rel="next"`)
	}
	patient(w)
	_, _ = w.Write(body.Bytes()) // a caller that has gone by now can't be told anything
	problem.trail(w)
}

// download sends all readings. What it needs of memory does not depend on how many there are. If it can't send what there is, it
// breaks the connection, but for the command line, which looks at the trailer: what ends early must not look whole.
func (a *API) download(w http.ResponseWriter, r *http.Request, by Caller, f form, q rawQuery) {
	if by.Via != ViaSocket {
		if a.downloads.Enter(r.Context(), by.party()) != nil {
			TryLater(w, http.StatusServiceUnavailable, 10*time.Second, "busy", "too many downloads at this moment, of this account or of all")
			return
		}
		defer a.downloads.Leave(by.party())
	}
	header := w.Header()
	f.begin(header)
	header.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s.%s"`, q.devices[0].ID, f.extension)) // an id needs no quoting
	to := &pieceWriter{to: w, left: answerTime}
	out := bufio.NewWriterSize(to, streamBuffer)
	_, problem, err := a.write(r, by, f, q, out, new(string))
	switch {
	case err != nil && !to.began && by.Via != ViaSocket && !gone(r, by):
		header.Del("Content-Disposition")
		header.Del("Trailer")
		a.Failed(w, err)
		return
	case err != nil && by.Via == ViaSocket:
		problem = problemOf(err)
	case err != nil:
		panic(http.ErrAbortHandler)
	}
	if out.Flush() != nil { // which knows of earlier failures, too
		panic(http.ErrAbortHandler)
	}
	problem.trail(w)
}

// gone reports whether a caller does not wait for an answer any more, so that nothing has failed. The Unix socket's requests also end
// with the hub.
func gone(r *http.Request, by Caller) bool {
	return by.Via != ViaSocket && errors.Is(context.Cause(r.Context()), context.Canceled)
}

// trail says in the trailer what is wrong with what was sent, nil: nothing.
func (p *Problem) trail(w http.ResponseWriter) {
	if p == nil {
		return
	}
	p.Type, p.Title = "about:blank", http.StatusText(p.Status)
	text, _ := json.Marshal(p) // texts and a number, which always have a JSON form
	w.Header().Set(ErrorField, string(text))
}

// write renders the readings that q asks for. more says that there are others, behind the cursor. What is known to be missing, or a
// channel that a device does not have, is a problem of what was written.
func (a *API) write(r *http.Request, by Caller, f form, q rawQuery, out io.Writer, cursor *string) (more bool, problem *Problem, err error) {
	written := 0
	var buf []byte
	for i := range q.devices {
		dev := &q.devices[i]
		into := f.render(dev)
		from, at, n := q.from, time.Time{}, 0 // n readings of the moment at have been passed
		if i == 0 {
			buf = into.Begin(buf)
			if !q.at.IsZero() {
				from, at = q.at, q.at
			}
		}
		channels := a.channelsOf(dev.ID, q.channels)
		query := history.Query{Device: dev.ID, Channels: channels.all, From: from, To: q.to}
		for reading, readErr := range a.store.Readings(r.Context(), query) {
			if _, some := errors.AsType[*history.IncompleteError](readErr); some {
				problem = &Problem{Status: http.StatusOK, Code: "incomplete", Detail: readErr.Error(), Hint: "what could be read was sent; telemetry-hub status says more"}
				break
			}
			if readErr != nil {
				return false, nil, errors.Join(readErr, writeAll(out, buf))
			}
			if i == 0 && n < q.skip && reading.Time.Equal(q.at) {
				n++
				continue
			}
			if more = q.limit > 0 && written == q.limit; more {
				break
			}
			channels.have(reading.Channel.Name)
			if !reading.Time.Equal(at) {
				at, n = reading.Time, 0
			}
			n++
			written++
			*cursor = cursorOf(dev.ID, at, n)
			if buf = into.Append(buf, &reading); len(buf) >= streamBuffer/2 {
				if err := writeAll(out, buf); err != nil {
					return false, nil, err
				}
				buf = buf[:0]
			}
		}
		buf = into.End(buf)
		if more {
			break
		}
		if missing := channels.missing(); missing != nil && problem == nil {
			problem = missing
		}
	}
	if problem != nil && problem.Code == "incomplete" && by.Via != ViaSocket {
		buf = append(append(buf, f.remark(problem.Detail)...), '\n')
	}
	return more, problem, writeAll(out, buf)
}

func writeAll(out io.Writer, b []byte) error {
	_, err := out.Write(b)
	return err
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
