package live

import (
	"math"
	"time"
)

// rateSeconds is over how long the rates are taken.
const rateSeconds = 5

// rates counts frames and readings.
type rates struct {
	rateMark             // now
	marks     []rateMark // of the last seconds, the oldest first
	perSecond Ingest     // without latencies
}

type rateMark struct {
	at               time.Time
	frames, readings uint64
}

// turn is called once a second.
func (r *rates) turn(now time.Time) {
	r.at = now
	if len(r.marks) > rateSeconds {
		r.marks = append(r.marks[:0], r.marks[1:]...)
	}
	r.marks = append(r.marks, r.rateMark)
	oldest := r.marks[0]
	if took := now.Sub(oldest.at).Seconds(); took > 0 {
		r.perSecond.Frames = round(float64(r.frames-oldest.frames) / took)
		r.perSecond.Readings = round(float64(r.readings-oldest.readings) / took)
	}
}

func round(v float64) float64 { return math.Round(v*10) / 10 }
