package firmwaresim

import (
	"fmt"
	"slices"
	"strings"
)

// BenchResult is what was measured.
type BenchResult struct {
	Devices int          `json:"devices"`
	Rate    float64      `json:"rate"`              // frames per second and device; 0: as many as the window lets
	Window  int          `json:"window"`            // frames in flight of each device, if the rate is 0
	Seconds float64      `json:"seconds"`           // of the load in a round
	Rounds  []BenchRound `json:"rounds"`            //
	Against []BenchRound `json:"against,omitempty"` // of the other hub, in turns with Rounds
}

// BenchRound is what was measured in one round.
type BenchRound struct {
	Frames          uint64  `json:"frames"`
	FrameBytes      float64 `json:"frame_bytes"`          // mean length of a DATA message
	FramesPerSecond float64 `json:"frames_per_second"`    // acknowledged while the load ran
	CPUPerFrame     float64 `json:"hub_cpu_us_per_frame"` // user and system, until the history has read every frame
	CPUShare        float64 `json:"hub_cpu_share"`        // of one processor, while the load ran
	AckP50          float64 `json:"ack_p50_ms"`           // from a frame's transmission to its ACK
	AckP99          float64 `json:"ack_p99_ms"`           //
	Resident        uint64  `json:"hub_resident_bytes"`   // at the end of the load
	ResidentPeak    uint64  `json:"hub_resident_peak"`    // bytes, since the hub's start
	Written         float64 `json:"written_per_byte"`     // bytes written to disk per byte of DATA messages
	Behind          float64 `json:"behind_s"`             // from the end of the load until the history had read every frame
}

// benchFigures are what people get to see.
var benchFigures = []struct {
	name string
	of   func(r *BenchRound) float64
}{
	{"hub CPU, µs per frame", func(r *BenchRound) float64 { return r.CPUPerFrame }},
	{"frames/s", func(r *BenchRound) float64 { return r.FramesPerSecond }},
	{"ack p50, ms", func(r *BenchRound) float64 { return r.AckP50 }},
	{"ack p99, ms", func(r *BenchRound) float64 { return r.AckP99 }},
	{"hub memory, MiB", func(r *BenchRound) float64 { return float64(r.Resident) / (1 << 20) }},
	{"  at most, MiB", func(r *BenchRound) float64 { return float64(r.ResidentPeak) / (1 << 20) }},
	{"written per byte", func(r *BenchRound) float64 { return r.Written }},
	{"history behind, s", func(r *BenchRound) float64 { return r.Behind }},
}

// spread is the median, the least and the most of some values.
type spread struct{ median, least, most float64 }

func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return spread{median: (v[(n-1)/2] + v[n/2]) / 2, least: v[0], most: v[n-1]}
}

// String is three digits of each number, whatever their size.
func (s spread) String() string {
	digits := 2
	switch {
	case s.median >= 100:
		digits = 0
	case s.median >= 10:
		digits = 1
	}
	if s.least == s.most {
		return fmt.Sprintf("%.*f", digits, s.median)
	}
	return fmt.Sprintf("%.*f (%.*f to %.*f)", digits, s.median, digits, s.least, digits, s.most)
}

// String is the result for people: the median of the rounds, and the least and the most.
func (r *BenchResult) String() string {
	var b strings.Builder
	rate := fmt.Sprintf("%g frames/s each", r.Rate)
	if r.Rate == 0 {
		rate = fmt.Sprintf("%d frames in flight each", r.Window)
	}
	fmt.Fprintf(&b, "%d devices, %s, frames of %.1f bytes over TLS, rounds: %d of %g s\n",
		r.Devices, rate, r.Rounds[0].FrameBytes, len(r.Rounds), r.Seconds)
	if r.Against != nil {
		fmt.Fprintf(&b, "  %-22s  %-28s  %-28s  %s\n", "", "hub", "against", "ratio")
	}
	for _, f := range benchFigures {
		own := make([]float64, len(r.Rounds))
		for i := range r.Rounds {
			own[i] = f.of(&r.Rounds[i])
		}
		if r.Against == nil {
			fmt.Fprintf(&b, "  %-22s  %v\n", f.name, spreadOf(own))
			continue
		}
		other, ratios := make([]float64, len(own)), make([]float64, len(own))
		for i := range r.Against {
			other[i] = f.of(&r.Against[i])
			ratios[i] = own[i] / other[i]
		}
		fmt.Fprintf(&b, "  %-22s  %-28v  %-28v  %v\n", f.name, spreadOf(own), spreadOf(other), spreadOf(ratios))
	}
	return b.String()
}
