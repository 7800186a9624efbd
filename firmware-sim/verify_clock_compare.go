package firmwaresim

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// clockTolerance is by how much a time may be off that the hub has converted, or decided: under load it learns of things late.
const clockTolerance = 30 * time.Second

// lasting is for how long every device has to be live: a reading of a second ago is stale in less.
const lasting = 10 * time.Second

// awaitFresh waits until the hub shows every device as live, and goes on to, which has to be soon after its clock is right.
func (v *clockVerification) awaitFresh(ctx context.Context) error {
	key := ""
	err := v.hub.command(ctx, func(out io.Reader) error {
		b, err := io.ReadAll(out)
		key = strings.TrimSpace(string(b))
		return err
	}, "apikey", "add", "verify", "--role", "viewer")
	if err != nil {
		return err
	}
	target, err := v.hub.target()
	if err != nil {
		return err
	}
	browser := http.Client{Transport: &http.Transport{TLSClientConfig: target.TLS}, Timeout: 30 * time.Second}
	defer browser.CloseIdleConnections()
	set, fresh := v.settings[len(v.settings)-1].at, time.Time{}
	for {
		states, err := v.states(ctx, &browser, key)
		if err != nil {
			return err
		}
		switch now := time.Now(); {
		case states["live"] != len(v.devices):
			fresh = time.Time{}
		case fresh.IsZero():
			fresh = now
		case now.Sub(fresh) > lasting:
			v.report.Fresh = fresh.Sub(set)
			return nil
		}
		if fresh.IsZero() && time.Since(set) > freshAfter {
			v.report.complain("%v after the clock is right, the devices look %v", freshAfter, states)
			return nil
		}
		if !sleep(ctx, time.Second) {
			return ctx.Err()
		}
	}
}

// states counts the devices in each state, as the page shows them.
func (v *clockVerification) states(ctx context.Context, browser *http.Client, key string) (map[string]int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+v.hub.address+"/api/v1/devices?limit=1000", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := browser.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the hub's list of devices: %s", response.Status)
	}
	var list struct {
		Devices []struct {
			State string `json:"state"`
		} `json:"devices"`
	}
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		return nil, err
	}
	states := map[string]int{}
	for _, d := range list.Devices {
		states[d.State]++
	}
	return states, nil
}

// clockReading is one line of `readings --format json`.
type clockReading struct {
	Time    time.Time `json:"time"`
	Value   uint64    `json:"value"`
	Quality string    `json:"time_quality"`
}

// compare reads everything back.
func (v *clockVerification) compare(ctx context.Context) error {
	r := v.report
	r.Devices, r.Settings, r.Qualities = len(v.devices), len(v.settings)-1, map[string]uint64{}
	books, err := v.hub.books(ctx)
	if err != nil {
		return err
	}
	for _, d := range v.devices {
		made := uint64(len(d.made))
		r.Frames += made
		if b := books[d.id]; b.Frames != made || b.Readings != made || b.Lost+b.Rejected+b.Holes != 0 {
			r.complain("%s: %d frames were made, the books say %+v", d.id, made, b)
		}
		seen := make([]int, len(d.made))
		err := v.hub.command(ctx, func(out io.Reader) error {
			for lines := bufio.NewScanner(out); lines.Scan(); {
				var got clockReading
				if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
					return fmt.Errorf("%s: %w", lines.Text(), err)
				}
				if got.Value == 0 || got.Value > made {
					r.complain("%s: a reading %d that was never made", d.id, got.Value)
					continue
				}
				seen[got.Value-1]++
				v.judge(d, got)
			}
			return nil
		}, "readings", d.id, "--format", "json")
		if err != nil {
			return err
		}
		for i, n := range seen {
			if n != 1 {
				r.complain("%s: frame %d of %v is there %d times", d.id, i+1, d.made[i].UTC(), n)
			}
		}
	}
	return nil
}

// judge looks whether a reading's time is right by the clock that the hub had when the frame came, or marked.
func (v *clockVerification) judge(d *clockDevice, got clockReading) {
	if got.Quality == "" {
		got.Quality = "device"
	}
	v.report.Qualities[got.Quality]++
	made, settled := d.made[got.Value-1], d.settled[got.Value-1]
	wrong := v.wrongBetween(made, settled)
	right := slices.Contains(wrong, 0)
	ok := false
	switch d.kind {
	case clockRight:
		ok = got.Time.UnixMicro() == d.clock(made) && (got.Quality == "device" && right || got.Quality == "doubtful")
	case clockWrong:
		ok = got.Time.UnixMicro() == d.clock(made) && got.Quality == "doubtful"
	default:
		quality := map[clockKind]string{clockBoot: "converted", clockNone: "received"}[d.kind]
		for _, w := range wrong {
			early, late := made.Add(w-clockTolerance), made.Add(w+clockTolerance)
			want := quality
			if d.kind == clockNone {
				late = settled.Add(w + clockTolerance)
			} else if late.Year() < 2023 { // no clock that is right shows a time before there was a hub
				want = "doubtful"
			}
			ok = ok || got.Quality == want && got.Time.After(early) && got.Time.Before(late)
		}
	}
	if got.Value == uint64(len(d.made)) { // made long after the clock was right
		ok = ok && got.Quality == map[clockKind]string{clockRight: "device", clockWrong: "doubtful", clockBoot: "converted", clockNone: "received"}[d.kind]
	}
	if !ok {
		v.report.complain("%s (%s): frame %d, made %v and acknowledged %v, has the time %v, %s; the hub's clock was wrong by %v",
			d.id, d.kind, got.Value, made.UTC(), settled.UTC(), got.Time, got.Quality, wrong)
	}
}

// wrongBetween is how wrong the hub's clock was between two moments, or a little before and after.
func (v *clockVerification) wrongBetween(from, to time.Time) (wrong []time.Duration) {
	from, to = from.Add(-time.Second), to.Add(time.Second)
	for i, s := range v.settings {
		if s.at.Before(to) && (i == len(v.settings)-1 || v.settings[i+1].at.After(from)) {
			wrong = append(wrong, s.wrong)
		}
	}
	return wrong
}
