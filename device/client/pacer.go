package client

import "time"

// pacerTolerance is how far a pacer lets events come together, so that a high rate does not need as many wake-ups.
const pacerTolerance = 50 * time.Millisecond

// pacer keeps events to a rate. The zero value lets everything pass.
type pacer struct {
	interval time.Duration // between two events on average
	due      time.Time     // when the next event would come if they were spaced evenly
}

func newPacer(rate int) pacer {
	if rate <= 0 {
		return pacer{}
	}
	return pacer{interval: time.Second / time.Duration(rate)}
}

// wait is how long the next event must wait; 0: it may happen now.
func (p *pacer) wait(now time.Time) time.Duration {
	if early := p.due.Sub(now); early > max(0, pacerTolerance-p.interval) {
		return early
	}
	return 0
}

// take counts an event.
func (p *pacer) take(now time.Time) {
	if p.due.Before(now) {
		p.due = now
	}
	p.due = p.due.Add(p.interval)
}
