package client

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lxzan/gws"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// All clocks in this file are those of synctest: time passes only when everything waits.

// arrivals receives n frames and returns their numbers and when each came, counted from start.
func (hc *hubConn) arrivals(n int, start time.Time) (seqs []uint64, at []time.Duration) {
	for range n {
		seqs = append(seqs, frameSeq(hc.t, <-hc.in))
		at = append(at, time.Since(start))
	}
	return seqs, at
}

func TestLiveDataGoesBeforeTheBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newPipeHub(t)
		cfg := h.config()
		cfg.BacklogRate = 10
		c, stop := h.startDevice(cfg)
		defer stop()
		for v := range int64(30) {
			sendValues(t, c, v)
		}
		hc := h.accept()
		hc.welcome(nil)
		start := time.Now()
		go func() {
			time.Sleep(1050 * time.Millisecond)
			sendValues(t, c, 31, 32, 33)
		}()
		seqs, at := hc.arrivals(33, start)

		live := slices.Index(seqs, 31)
		want := slices.Insert(seqRange(1, 30), live, 31, 32, 33)
		if !slices.Equal(seqs, want) {
			t.Errorf("order %v", seqs)
		}
		if at[live+2] != 1050*time.Millisecond {
			t.Errorf("live data arrived at %v", at[live:live+3])
		}
		backlog := slices.Delete(slices.Clone(at), live, live+3)
		for i, d := range backlog {
			if want := time.Duration(i) * 100 * time.Millisecond; d != want {
				t.Errorf("backlog frame %d arrived at %v, want %v", i+1, d, want)
			}
		}
		hc.cut()
	})
}

func TestBacklogLeavesHalfTheWindowToLiveData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newPipeHub(t)
		c, stop := h.startDevice(h.config())
		defer stop()
		sendValues(t, c, 1, 2, 3, 4, 5, 6, 7, 8)
		hc := h.accept()
		hc.welcome(nil, func(w *device.Welcome) { w.WindowFrames = 4 })
		synctest.Wait()
		time.Sleep(time.Second)
		sendValues(t, c, 9, 10, 11)
		synctest.Wait()
		if got := hc.expectFrames(len(hc.in)); !slices.Equal(got, []uint64{1, 2, 9, 10}) {
			t.Errorf("sent %v", got)
		}
		hc.cut()
	})
}

func TestFrameRateOfTheHubIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newPipeHub(t)
		c, stop := h.startDevice(h.config())
		defer stop()
		hc := h.accept()
		hc.welcome(nil, func(w *device.Welcome) { w.FrameRate = 100 })
		synctest.Wait()
		start := time.Now()
		for v := range int64(200) {
			sendValues(t, c, v)
		}
		_, at := hc.arrivals(200, start)
		for i, d := range at {
			if early := time.Duration(i)*10*time.Millisecond - d; early > 50*time.Millisecond || early < 0 {
				t.Fatalf("frame %d arrived at %v", i+1, d)
			}
		}
		hc.cut()
	})
}

// After close code 4005 the device sends everything oldest first, as fast as it may.
func TestTooSparse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newPipeHub(t)
		cfg := h.config()
		cfg.BacklogRate = 1
		c, stop := h.startDevice(cfg)
		defer stop()
		sendValues(t, c, 1, 2, 3, 4, 5)
		hc := h.accept()
		hc.closeWith(device.CloseTooSparse)
		hc = h.accept()
		hc.welcome(nil, func(w *device.Welcome) { w.WindowFrames = 2 })
		sendValues(t, c, 6)
		start := time.Now()
		for seq := uint64(1); seq <= 6; seq++ {
			if got, at := hc.arrivals(1, start); got[0] != seq || at[0] != 0 {
				t.Errorf("frame %d at %v, want %d at once", got[0], at[0], seq)
			}
			hc.ack(device.Range{First: seq, Last: seq})
		}
		hc.cut()
	})
}

func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newPipeHub(t)
		_, stop := h.startDevice(h.config())
		defer stop()
		hc := h.accept()
		hc.welcome(nil, func(w *device.Welcome) { w.Idle = 30_000 })
		time.Sleep(100*time.Second + time.Millisecond)
		if n := hc.pings.Load(); n != 9 { // HELLO counts for the first 10 s
			t.Errorf("%d pings in 100 s of 30 s idle time", n)
		}
		hc.cut()
	})
}

func TestSilentHubIsLeft(t *testing.T) {
	for name, welcome := range map[string]bool{"before WELCOME": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newPipeHub(t)
				c, stop := h.startDevice(h.config())
				defer stop()
				hc := h.accept()
				if welcome {
					hc.welcome(nil, func(w *device.Welcome) { w.Idle = 30_000 })
				}
				start := time.Now()
				hc.mute.Store(true)
				<-hc.closed
				synctest.Wait()
				if took := time.Since(start); took > 41*time.Second {
					t.Errorf("left after %v", took)
				}
				if e := c.Stats().LastError; !strings.Contains(e, "silent") && !strings.Contains(e, "WELCOME") {
					t.Error(e)
				}
			})
		})
	}
}

// pauses returns how long a device stays away after each of n endings.
func pauses(t *testing.T, n int, end func(h *fakeHub)) (took []time.Duration) {
	h := newPipeHub(t)
	arrived := make(chan struct{}, 1)
	h.refuse = func(http.ResponseWriter, *http.Request) bool { arrived <- struct{}{}; return false }
	_, stop := h.startDevice(h.config())
	defer stop()
	<-arrived
	for range n {
		end(h)
		left := time.Now()
		<-arrived
		took = append(took, time.Since(left))
	}
	(<-h.accepted).cut()
	return took
}

func TestPauses(t *testing.T) {
	closeWith := func(code device.CloseCode) func(h *fakeHub) {
		return func(h *fakeHub) { hc := h.accept(); hc.closeWith(code); <-hc.closed }
	}
	for name, c := range map[string]struct {
		end   func(h *fakeHub)
		least []time.Duration
		most  []time.Duration
	}{
		"full jitter": {
			func(h *fakeHub) { h.accept().cut() },
			make([]time.Duration, 8),
			[]time.Duration{500e6, 1e9, 2e9, 4e9, 8e9, 16e9, 30e9, 30e9},
		},
		"steady connections start anew": {
			func(h *fakeHub) { hc := h.accept(); hc.welcome(nil); time.Sleep(time.Minute); hc.cut() },
			make([]time.Duration, 4),
			[]time.Duration{500e6, 500e6, 500e6, 500e6},
		},
		"GOAWAY": {
			func(h *fakeHub) {
				hc := h.accept()
				hc.welcome(nil)
				hc.send(&device.GoAway{Reason: device.GoAwayShutdown, MinMS: 40_000, MaxMS: 45_000})
				hc.closeWith(device.CloseGoingAway)
				<-hc.closed
			},
			[]time.Duration{40e9, 40e9}, []time.Duration{45e9, 45e9},
		},
		"GOAWAY instead of WELCOME": {
			func(h *fakeHub) {
				hc := h.accept()
				hc.send(&device.GoAway{Reason: device.GoAwayOverload, MinMS: 40_000, MaxMS: 40_000})
				<-hc.closed
			},
			[]time.Duration{40e9}, []time.Duration{40e9},
		},
		"replaced":  {closeWith(device.CloseReplaced), []time.Duration{30e9, 30e9}, []time.Duration{60e9, 60e9}},
		"revoked":   {closeWith(device.CloseRevoked), []time.Duration{15e9, 15e9}, []time.Duration{30e9, 30e9}},
		"try later": {closeWith(device.CloseTryLater), make([]time.Duration, 3), []time.Duration{8e9, 16e9, 30e9}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for i, d := range pauses(t, len(c.least), c.end) {
					if d < c.least[i] || d > c.most[i]+time.Millisecond {
						t.Errorf("pause %d: %v, want %v to %v", i, d, c.least[i], c.most[i])
					}
				}
			})
		})
	}
}

// HTTP answers other than 101.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		code       int
		retryAfter string
		least      time.Duration
		most       time.Duration
		says       string
	}{
		{http.StatusUnauthorized, "", 15 * time.Second, 30 * time.Second, "refuses the token: 401"},
		{http.StatusForbidden, "", 15 * time.Second, 30 * time.Second, "refuses the token: 403"},
		{http.StatusNotFound, "", 15 * time.Second, 30 * time.Second, "404"},
		{http.StatusTooManyRequests, "100", 100 * time.Second, 101 * time.Second, "429"},
		{http.StatusServiceUnavailable, "Sat, 01 Jan 2000 00:05:00 GMT", 5 * time.Minute, 5*time.Minute + time.Second, "503"},
		{http.StatusServiceUnavailable, "", 0, time.Second, "503"},
		{http.StatusServiceUnavailable, "2000000000", time.Hour, time.Hour + time.Second, "503"},
	} {
		t.Run(http.StatusText(c.code)+" "+c.retryAfter, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newPipeHub(t)
				asked := make(chan time.Time, 1)
				h.refuse = func(w http.ResponseWriter, r *http.Request) bool {
					if r.Header.Get("Authorization") != "Bearer secret" || r.URL.Path != device.Path {
						t.Errorf("%v %v", r.URL, r.Header)
					}
					if c.retryAfter != "" {
						w.Header().Set("Retry-After", c.retryAfter)
					}
					http.Error(w, "mend this", c.code)
					asked <- time.Now()
					return true
				}
				device, stop := h.startDevice(h.config())
				first := <-asked
				synctest.Wait()
				if e := device.Stats().LastError; !strings.Contains(e, c.says) || !strings.Contains(e, "mend this") {
					t.Errorf("LastError %q", e)
				}
				if d := (<-asked).Sub(first); d < c.least || d > c.most {
					t.Errorf("came back after %v", d)
				}
				stop()
			})
		})
	}
}

func TestBackoffForgetsNothingTooSoon(t *testing.T) {
	var b backoff
	cut := errors.New("cut")
	for range 10 {
		b.after(cut, 0)
	}
	if _, most := b.after(cut, steadyTime-1); most != maxBackoff {
		t.Errorf("a short connection: %v", most)
	}
	if _, most := b.after(cut, steadyTime); most != firstBackoff {
		t.Errorf("a steady connection: %v", most)
	}
	if _, most := b.after(&gws.CloseError{Code: uint16(device.CloseTryLater)}, steadyTime); most != 8*time.Second {
		t.Errorf("try later: %v", most)
	}
	if least, most := b.after(&gws.CloseError{Code: uint16(device.CloseReplaced)}, time.Hour); least != maxBackoff || most != 2*maxBackoff {
		t.Errorf("replaced: %v, %v", least, most)
	}
}

// Frames of an older schema are announced as such and the newest schema last, but not so often that the hub minds.
func TestFramesKeepTheirSchema(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newPipeHub(t)
		cfg := h.config()
		cfg.BacklogRate = 10
		c, stop := h.startDevice(cfg)
		defer stop()
		for v := range int64(60) {
			sendValues(t, c, v)
		}
		renamed := &device.Schema{Channels: []device.Channel{{ID: 1, Name: "renamed", Type: device.Int}}}
		if err := c.SetSchema(renamed); err != nil {
			t.Fatal(err)
		}
		hc := h.accept()
		if hc.hello.SchemaHash != device.HashSchema(device.AppendControl(nil, renamed)) {
			t.Error("HELLO has not the newest schema")
		}
		hc.welcome(nil)
		start := time.Now()
		go func() {
			for v := range int64(10) {
				time.Sleep(500 * time.Millisecond)
				sendValues(t, c, 100+v)
			}
		}()
		current, schemas := "renamed", 0
		for frames := 0; frames < 70; {
			b := <-hc.in
			if device.Type(b[0]) == device.TypeSchema {
				m, err := device.ParseControl(b)
				if err != nil {
					t.Fatal(err)
				}
				current = m.(*device.Schema).Channels[0].Name
				schemas++
				continue
			}
			frames++
			want := "n"
			if frameSeq(t, b) > 60 {
				want = "renamed"
			}
			if current != want {
				t.Errorf("frame %d is announced as of schema %q", frameSeq(t, b), current)
			}
		}
		if most := int(time.Since(start)/schemaEvery) + 1; schemas > most || time.Since(start) > 15*time.Second {
			t.Errorf("%d SCHEMA in %v", schemas, time.Since(start))
		}
		if current != "renamed" {
			<-hc.in
		}
		hc.cut()
	})
}

// The lost ranges that a long life left behind are declared in few messages, not above the rate that the hub allows.
func TestManyLostRangesAreDeclaredInOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newPipeHub(t)
		cfg := h.config()
		cfg.BufferBytes = 400 * (len(message(t, 200)) + frameOverhead)
		c, stop := h.startDevice(cfg)
		defer stop()
		h.visit()
		for v := range int64(300) {
			sendValues(t, c, v)
		}
		hc := h.accept()
		var odd device.Ranges
		for seq := uint64(1); seq < 300; seq += 2 {
			odd = append(odd, device.Range{First: seq, Last: seq})
		}
		hc.welcome(odd)
		synctest.Wait()
		hc.cut()
		synctest.Wait()
		for v := range int64(500) { // overwrites the even ones
			sendValues(t, c, v)
		}
		if n := len(c.buf.lost); n < 100 {
			t.Errorf("only %d lost ranges: the test tests nothing", n)
		}

		hc = h.accept()
		hc.welcome(odd)
		synctest.Wait()
		var declared device.SeqSet
		messages := 0
		for range len(hc.in) {
			m, err := device.ParseControl(<-hc.in)
			if l, ok := m.(*device.Lost); ok && err == nil {
				declared.AddRange(l.First, l.Last)
				messages++
			}
		}
		if messages == 0 || messages > 10 {
			t.Errorf("%d messages", messages)
		}
		for _, r := range c.buf.lost {
			if len(declared.Missing(r.first, r.last, nil, 1)) > 0 {
				t.Errorf("%d to %d not declared", r.first, r.last)
			}
		}
		for _, f := range c.buf.frames {
			if f.message != nil && declared.Contains(f.seq) {
				t.Errorf("frame %d is held and declared lost", f.seq)
			}
		}
		hc.cut()
	})
}
