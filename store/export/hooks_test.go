package export

import (
	"testing"
	"time"
)

// What the tests need besides what the package exports.

// RetrySoon has the export try again soon after a failure.
func (e *Export) RetrySoon() {
	e.gate.retryMin, e.gate.retryMax = 5*time.Millisecond, 50*time.Millisecond
	e.gate.retryTry, e.gate.retryDenied = 50*time.Millisecond, 50*time.Millisecond
}

// RetryDenied has the export try again after d when it was denied.
func (e *Export) RetryDenied(d time.Duration) { e.gate.retryDenied = d }

// FlushEvery has the export wait d between two requests with new data.
func (e *Export) FlushEvery(d time.Duration) { e.options.FlushInterval = d }

// Live is the position where the live lane goes on.
func (e *Export) Live() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.live
}

// Behind reports whether there is a backlog that is not on its way.
func (e *Export) Behind() bool {
	_, behind := e.oldestBacklog()
	return behind
}

// Bodies encodes what the journal has into the batches that are sent of it.
func (e *Export) Bodies(t testing.TB) (bodies [][]byte) {
	r := reader{export: e}
	defer r.close()
	var b batch
	for at, end := e.deps.Journal.First(), e.deps.Journal.Next(); at < end; at = b.next {
		if err := r.fill(&b, span{at, end}); err != nil {
			t.Fatal(err)
		}
		var body []byte
		for i := range b.lines.Lines() {
			body = append(body, b.lines.Line(i)...)
		}
		bodies = append(bodies, body)
	}
	return bodies
}
