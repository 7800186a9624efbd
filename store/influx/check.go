package influx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// checkMeasurement is where Check writes its point.
const checkMeasurement = "telemetry_hub_check"

// Check proves a configuration: it writes a point to the measurement telemetry_hub_check, and reads it back with Flux or,
// where there is none, with InfluxQL. It returns how it was read. The error says in words what is wrong; a token that may
// only write passes the first half.
func Check(ctx context.Context, c Config, now time.Time) (language string, err error) {
	w, err := NewWriter(c)
	if err != nil {
		return "", err
	}
	defer w.Close()
	c.Timeout = w.timeout
	// The value names the point.
	value := float64(now.UnixMicro())
	point := fmt.Sprintf("%s value=%s %d\n", checkMeasurement, strconv.FormatFloat(value, 'f', -1, 64), now.UnixNano())
	if err := w.Write(ctx, []byte(point)); err != nil {
		return "", err
	}
	fluxErr := w.readFlux(ctx, &c, now, value)
	if fluxErr == nil {
		return "Flux", nil
	}
	qlErr := w.readInfluxQL(ctx, &c, now, value)
	if qlErr == nil {
		return "InfluxQL", nil
	}
	return "", fmt.Errorf("a point was written, but could not be read back, with Flux: %s; with InfluxQL: %w", oneLine(fluxErr.Error()), qlErr)
}

var errNotThere = errors.New("it is not there")

func (w *Writer) readFlux(ctx context.Context, c *Config, at time.Time, value float64) error {
	client := newClient(c, w.transport)
	query := fmt.Sprintf("from(bucket: %s) |> range(start: %s, stop: %s) |> filter(fn: (r) => r._measurement == %q)",
		fluxString(c.Bucket), at.UTC().Format(time.RFC3339Nano), at.Add(time.Second).UTC().Format(time.RFC3339Nano), checkMeasurement)
	result, err := client.QueryAPI(c.Org).Query(ctx, query)
	if err != nil {
		return err
	}
	defer result.Close()
	for result.Next() {
		if result.Record().Value() == value {
			return nil
		}
	}
	if result.Err() != nil {
		return result.Err()
	}
	return errNotThere
}

// fluxString writes s as a Flux string literal.
func fluxString(s string) string { return strings.ReplaceAll(strconv.Quote(s), "${", `\${`) }

func (w *Writer) readInfluxQL(ctx context.Context, c *Config, at time.Time, value float64) error {
	database, policy, _ := strings.Cut(c.Bucket, "/")
	v := url.Values{"db": {database}, "q": {fmt.Sprintf("SELECT value FROM %s WHERE time = %d", checkMeasurement, at.UnixNano())}}
	if policy != "" {
		v.Set("rp", policy)
	}
	u := strings.TrimSuffix(c.URL, "/") + "/query?" + v.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return err
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Token "+c.Token)
	}
	resp, err := (&http.Client{Transport: w.transport, Timeout: w.timeout}).Do(req)
	if err != nil {
		return w.unreachable(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		words, _ := serverWords(resp.Header, body)
		return fmt.Errorf("%s: %s", resp.Status, oneLine(words))
	}
	var answer struct {
		Results []struct {
			Error  string
			Series []struct{ Values [][]any }
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("the answer can't be read: %w", err)
	}
	for _, r := range answer.Results {
		if r.Error != "" {
			return errors.New(oneLine(r.Error))
		}
		for _, s := range r.Series {
			for _, row := range s.Values {
				if len(row) == 2 && row[1] == value {
					return nil
				}
			}
		}
	}
	return errNotThere
}
