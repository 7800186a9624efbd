package client

import "time"

// pacer keeps events to a rate. The zero value lets everything pass.
type pacer struct {
	interval  time.Duration // between two events on average
	tolerance time.Duration // how much earlier than evenly spaced an event may come
	due       time.Time     // when the next event would come if they were spaced evenly
}

// newPacer lets rate events a second pass, burst of them at once. A rate of 0 is no limit.
func newPacer(rate, burst int) pacer {
	if rate <= 0 {
		return pacer{}
	}
	interval := time.Second / time.Duration(rate)
	return pacer{interval: interval, tolerance: time.Duration(max(burst-1, 0)) * interval}
}

// wait is how long the next event must wait; 0: it may happen now. It is so long that half a burst may follow: a high rate
// does not need a wake-up for each event.
func (p *pacer) wait(now time.Time) time.Duration {
	if early := p.due.Sub(now); early > p.tolerance {
		return early - p.tolerance/2
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
