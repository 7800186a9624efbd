package ledger

import (
	"testing"
	"time"
)

func TestPace(t *testing.T) {
	start := time.Now()
	at := func(d time.Duration) time.Time { return start.Add(d) }
	var p diskPace
	p.begin(at(0))
	if !p.slowSince(at(900 * time.Millisecond)).IsZero() {
		t.Error("slow before a second was over")
	}
	slow := at(1500 * time.Millisecond)
	if since := p.slowSince(slow); !since.Equal(slow) { // while the disk still writes
		t.Errorf("slow since %v", since)
	}
	p.end(at(20 * time.Second))
	p.begin(at(21 * time.Second))
	p.end(at(21*time.Second + time.Millisecond))
	if since := p.slowSince(at(70 * time.Second)); !since.Equal(slow) {
		t.Errorf("shortly after a slow write: since %v", since)
	}
	if since := p.slowSince(at(81 * time.Second)); !since.IsZero() {
		t.Errorf("a minute after the last slow write: since %v", since)
	}
}

func TestThrottle(t *testing.T) {
	var h throttle
	now := time.Now()
	if since := h.since(now); !since.IsZero() {
		t.Errorf("throttled since %v without a wait", since)
	}
	h.note(now)
	h.note(now.Add(throttledFor / 2))
	if since := h.since(now.Add(throttledFor)); !since.Equal(now) {
		t.Errorf("throttled since %v, began %v", since, now)
	}
	later := now.Add(2 * throttledFor)
	if since := h.since(later); !since.IsZero() {
		t.Errorf("still throttled since %v", since)
	}
	h.note(later)
	if since := h.since(later); !since.Equal(later) {
		t.Errorf("throttled since %v, began again %v", since, later)
	}
}
