package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/api/socket"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
)

// ReadingsQuery selects readings of devices, one device after the other. Zero values stand for everything.
type ReadingsQuery struct {
	Devices  []string
	Channels []string
	From, To time.Time // From is included, To is not
	Format   string    // one of package render
}

// extensions are those of the API's paths for raw readings. Tables are made here.
var extensions = map[string]string{
	render.FormatTable: "ndjson", render.FormatJSON: "ndjson", render.FormatCSV: "csv", render.FormatLineProtocol: "lp",
}

// Readings writes readings to w as they come. An error that comes behind all there is, because some are known to be missing or a
// device has no such channel, is an [*api.Problem].
func (c *Client) Readings(ctx context.Context, q ReadingsQuery, w io.Writer) error {
	write := writer(w)
	if q.Format == render.FormatTable {
		var err error
		if write, err = c.tableWriter(ctx, q.Devices, w); err != nil {
			return err
		}
	}
	resp, err := c.do(ctx, http.MethodGet, "/readings."+extensions[q.Format], q.values(), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return write.copy(resp)
}

func (q *ReadingsQuery) values() url.Values {
	v := url.Values{"device": q.Devices, "channel": q.Channels}
	if !q.From.IsZero() {
		v.Set("from", q.From.UTC().Format(time.RFC3339Nano))
	}
	if !q.To.IsZero() {
		v.Set("to", q.To.UTC().Format(time.RFC3339Nano))
	}
	return v
}

const (
	followEvery = time.Second
	followPage  = "10000" // readings asked for at once
)

// Follow is Readings that goes on with what comes, until ctx ends. Of each device it writes readings in the order of their times:
// one that comes with a time before that of another is not written any more. Where no hub runs nothing comes, and none could start
// while the files are held.
func (c *Client) Follow(ctx context.Context, q ReadingsQuery, w io.Writer) error {
	if c.alone {
		return &UnreachableError{socket.ErrNotRunning}
	}
	write := writer(w)
	if q.Format == render.FormatTable {
		var err error
		if write, err = c.tableWriter(ctx, q.Devices, w); err != nil {
			return err
		}
	}
	cursors := make([]string, len(q.Devices))
	for began := false; ; {
		more := false
		for i, id := range q.Devices {
			one := q
			one.Devices = []string{id}
			v := one.values()
			v.Set("limit", followPage)
			if cursors[i] != "" {
				v.Set("cursor", cursors[i])
			}
			resp, err := c.do(ctx, http.MethodGet, "/readings."+extensions[q.Format], v, nil)
			if err != nil {
				return err
			}
			if next := resp.Header.Get(api.CursorField); next != "" {
				cursors[i] = next
			}
			more = more || resp.Header.Get("Link") != ""
			if began && q.Format == render.FormatCSV {
				resp.Body = withoutLine(resp.Body)
			}
			began = true
			err = write.copy(resp)
			resp.Body.Close()
			if p, ok := err.(*api.Problem); err != nil && !(ok && p.Code == "incomplete") {
				return err
			}
		}
		if more {
			continue
		}
		select {
		case <-time.After(followEvery):
		case <-ctx.Done():
			return nil
		}
	}
}

// withoutLine leaves out the first line of a body.
func withoutLine(body io.ReadCloser) io.ReadCloser {
	r := bufio.NewReader(body)
	_, _ = r.ReadSlice('\n') // an error comes again
	return struct {
		io.Reader
		io.Closer
	}{r, body}
}

// received is a body whose errors are the hub's, not those of where it is written to.
type received struct{ body io.Reader }

func (r received) Read(b []byte) (int, error) {
	n, err := r.body.Read(b)
	if err != nil && err != io.EOF {
		err = &UnreachableError{fmt.Errorf("the readings broke off: %w", err)}
	}
	return n, err
}

// copier writes a body somewhere.
type copier func(body io.Reader) error

func writer(w io.Writer) copier {
	return func(body io.Reader) error {
		_, err := io.Copy(w, body)
		return err
	}
}

// copy writes the body of an answer, and returns what its trailer says of it.
func (c copier) copy(resp *http.Response) error {
	if err := c(received{resp.Body}); err != nil {
		return err
	}
	if text := resp.Trailer.Get(api.ErrorField); text != "" {
		return parseProblem([]byte(text), resp)
	}
	return nil
}

// tableWriter makes a table of lines of JSON. Its widths are those of what the devices have announced.
func (c *Client) tableWriter(ctx context.Context, devices []string, w io.Writer) (copier, error) {
	var widths []render.Row
	for _, id := range devices {
		d, err := c.Device(ctx, id)
		if err != nil {
			return nil, err
		}
		widths = append(widths, render.Row{Device: id})
		if d.Schema == nil {
			continue
		}
		for _, ch := range d.Schema.Channels {
			widths = append(widths, render.Row{Channel: ch.Name, Unit: ch.Unit})
		}
	}
	table := render.NewReadingsTable(widths)
	out := table.Begin(nil)
	return func(body io.Reader) error {
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var row render.Row
			dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
			if err := dec.Decode(&row); err != nil {
				return cmp.Or(lines.Err(), error(&UnreachableError{fmt.Errorf("its answer can't be read: %w", err)}))
			}
			if row.Device == "" { // a remark about those above, which the trailer has, too
				continue
			}
			if out = table.Row(out, &row); len(out) >= 32<<10 {
				if _, err := w.Write(out); err != nil {
					return err
				}
				out = out[:0]
			}
		}
		if _, err := w.Write(out); err != nil {
			return err
		}
		out = out[:0]
		return lines.Err()
	}, nil
}
