package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/history"
)

const (
	errorTrailer = "Telemetry-Hub-Error"
	renderBuffer = 32 << 10 // bytes rendered before they are sent on
)

// Formats are the formats readings can be had in.
func Formats() []string { return []string{"table", "json", "csv", "lineprotocol"} }

func newRenderer(format string, d *store.Device, s *device.Schema) (r render.Readings, contentType string, err error) {
	switch format {
	case "table", "":
		return render.NewReadingsTable(d.ID, s), "text/plain; charset=utf-8", nil
	case "csv":
		return render.CSV{}, "text/csv; charset=utf-8", nil
	case "json":
		return render.NDJSON{}, "application/x-ndjson", nil
	case "lineprotocol":
		return render.NewLineProtocol(d.Kind, d.Labels), "text/plain; charset=utf-8", nil
	}
	return nil, "", &Error{
		Status: http.StatusBadRequest, Text: fmt.Sprintf("unknown format %q", format),
		Hint: "formats are " + strings.Join(Formats(), ", "),
	}
}

// readings streams: what it needs of memory does not depend on how many readings there are.
func (c *handler) readings(w http.ResponseWriter, r *http.Request) {
	d, err := c.store.Device(r.PathValue("id"))
	if err != nil {
		fail(w, err)
		return
	}
	q, err := parseQuery(d.ID, r.URL.Query())
	if err != nil {
		fail(w, err)
		return
	}
	schema, ok := c.store.DeviceSchema(d.ID)
	if !ok {
		schema = &device.Schema{}
	}
	rows, contentType, err := newRenderer(r.URL.Query().Get("format"), &d, schema)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Trailer", errorTrailer)
	if err := c.stream(w, r, q, rows, schema); err != nil {
		sayError(w, err)
	}
}

// sayError ends a stream that has begun.
func sayError(w http.ResponseWriter, err error) {
	text, _ := json.Marshal(asError(err)) // two strings, which always have a JSON form
	w.Header().Set(errorTrailer, string(text))
}

func (c *handler) stream(w http.ResponseWriter, r *http.Request, q history.Query, rows render.Readings, schema *device.Schema) error {
	without := slices.Clone(q.Channels) // channels wanted of which there are no readings
	var incomplete error
	buf := rows.Begin(make([]byte, 0, 2*renderBuffer))
	for reading, err := range c.store.Readings(r.Context(), q) {
		if _, some := errors.AsType[*history.IncompleteError](err); some {
			incomplete = &Error{Status: http.StatusOK, Text: err.Error(), Hint: "what could be read stands above; telemetry-hub status says more"}
			break
		}
		if err != nil {
			// What came before is good, and the trailer says that it is not all.
			_, _ = w.Write(buf)
			return err
		}
		if len(without) > 0 {
			without = slices.DeleteFunc(without, func(name string) bool { return name == reading.Channel.Name })
		}
		buf = rows.Append(buf, &reading)
		if len(buf) >= renderBuffer {
			if _, err := w.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	if _, err := w.Write(rows.End(buf)); err != nil {
		return err
	}
	if incomplete != nil {
		return incomplete
	}
	return knownChannels(q.Device, without, schema)
}

// knownChannels returns an error when the device does not have one of these channels: asked for only when there are no
// readings of it, because an earlier schema may have had it.
func knownChannels(id string, wanted []string, schema *device.Schema) error {
	var names []string
	for i := range schema.Channels {
		names = append(names, schema.Channels[i].Name)
	}
	unknown := slices.IndexFunc(wanted, func(name string) bool { return !slices.Contains(names, name) })
	if unknown < 0 {
		return nil
	}
	e := &Error{Status: http.StatusNotFound, Text: fmt.Sprintf("%s has no channel %q", id, wanted[unknown])}
	if len(names) > 0 {
		e.Hint = "its channels are " + strings.Join(names, ", ")
	}
	return e
}

func parseQuery(id string, v url.Values) (history.Query, error) {
	q := history.Query{Device: id, Channels: v["channel"]}
	for _, bound := range []struct {
		name string
		to   *time.Time
	}{{"from", &q.From}, {"to", &q.To}} {
		s := v.Get(bound.name)
		if s == "" {
			continue
		}
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return q, badRequest("%s: %q is not an RFC 3339 time", bound.name, s)
		}
		*bound.to = t
	}
	return q, nil
}
