package export

import (
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/influx"
)

// TestRetryAfterIsObeyed asks the gate.
func TestRetryAfterIsObeyed(t *testing.T) {
	g := gate{retryMin: time.Second, retryTry: 2 * time.Second, retryMax: 4 * time.Second, retryDenied: time.Hour}
	for i, want := range []time.Duration{1, 2, 2, 4, 4} {
		if d := g.pause(&influx.Refusal{Verdict: influx.Retry}, i == 2); d < want*time.Second/2 || d > want*time.Second {
			t.Errorf("pause %d is %v, want up to %v s", i, d, int(want))
		}
	}
	if d := g.pause(&influx.Refusal{Verdict: influx.Retry, RetryAfter: time.Minute}, true); d != time.Minute {
		t.Errorf("pause %v, want a minute", d)
	}
	if d := g.pause(&influx.Refusal{Verdict: influx.Retry, RetryAfter: math.MaxInt64}, true); d != retryAfterMax {
		t.Errorf("pause %v, want %v", d, retryAfterMax)
	}
	if d := g.pause(&influx.Refusal{Verdict: influx.Pause, Status: http.StatusForbidden}, true); d != time.Hour {
		t.Errorf("pause %v, want an hour", d)
	}
}

// TestReturnIsNoticedSoon has the server away for six hours.
func TestReturnIsNoticedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate{
			alarm: func(string) {}, changed: make(chan struct{}),
			retryMin: retryMin, retryTry: retryTry, retryMax: retryMax, retryDenied: retryDenied,
		}
		back := time.Now().Add(6 * time.Hour)
		for _, down := range []error{
			&influx.Refusal{Verdict: influx.Retry, Text: "connection refused"},
			&influx.Refusal{Verdict: influx.Retry, Status: 503, Text: "starting"},
			&influx.Refusal{Verdict: influx.Pause, Status: 404, Text: "404 page not found"}, // of a proxy whose server is gone
		} {
			batches, lines := 0, 0
			for time.Now().Before(back) {
				try, _ := g.enter(t.Context())
				if try {
					lines++
				} else {
					batches++
				}
				if time.Now().Before(back) {
					g.report(down, try)
				}
			}
			if late := time.Since(back); late > 5*time.Second {
				t.Errorf("%v: noticed after %v", down, late)
			}
			if most := int(6 * time.Hour / (retryTry / 2)); batches != 1 || lines > most+5 {
				t.Errorf("%v: %d batches and %d lines went out in vain", down, batches, lines)
			}
			g.report(nil, false)
			back = back.Add(6 * time.Hour)
		}
	})
}
