// Package alarms is the list of what an operator has to know now.
package alarms

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// Alarm is a condition that needs an operator.
type Alarm struct {
	Key   string    `json:"-"` // what it is about: an alarm whose text changes stays the same one
	Since time.Time `json:"since"`
	Text  string    `json:"text"`
}

// List holds the active alarms, each under a key. It logs an alarm when it begins, changes and ends. Its methods are safe for
// concurrent use.
type List struct {
	clock *wallclock.Clock
	log   *slog.Logger

	mu     sync.Mutex
	active map[string]active
}

type active struct {
	since wallclock.Moment
	text  string
}

// New returns an empty list.
func New(clock *wallclock.Clock, log *slog.Logger) *List {
	return &List{clock: clock, log: log, active: map[string]active{}}
}

// Set begins the alarm with this key or changes its text, which says what is wrong and what to do. "" ends it.
func (l *List) Set(key, text string) {
	if text == "" {
		l.Clear(key)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.set(key, text)
}

// set is Set; mu is held.
func (l *List) set(key, text string) {
	old, was := l.active[key]
	if was && old.text == text {
		return
	}
	since := old.since
	if !was {
		since = l.clock.Moment()
	}
	l.active[key] = active{since: since, text: text}
	l.log.Error("alarm", "about", key, "text", text)
}

// Raise begins the alarm with this key. If it is active already, its text stays: for texts with details of the moment.
func (l *List) Raise(key, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, was := l.active[key]; !was {
		l.set(key, text)
	}
}

// Clear ends the alarm with this key, if there is one.
func (l *List) Clear(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, was := l.active[key]; was {
		delete(l.active, key)
		l.log.Info("alarm over", "about", key)
	}
}

// All returns the active alarms, the oldest first.
func (l *List) All() []Alarm {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]Alarm, 0, len(l.active))
	for key, a := range l.active {
		list = append(list, Alarm{Key: key, Since: l.clock.Time(a.since), Text: a.text})
	}
	slices.SortFunc(list, func(x, y Alarm) int {
		if c := x.Since.Compare(y.Since); c != 0 {
			return c
		}
		return strings.Compare(x.Text, y.Text)
	})
	return list
}
