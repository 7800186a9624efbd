package store

import (
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// alarms are the conditions an operator has to know, each under a key, logged once per change.
type alarms struct {
	clock *wallclock.Clock
	log   *slog.Logger

	mu     sync.Mutex
	active map[string]activeAlarm
}

type activeAlarm struct {
	since wallclock.Moment
	text  string
}

func (a *alarms) set(key, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.active == nil {
		a.active = map[string]activeAlarm{}
	}
	old, was := a.active[key]
	if was && old.text == text {
		return
	}
	since := old.since
	if !was {
		since = a.clock.Moment()
	}
	a.active[key] = activeAlarm{since: since, text: text}
	a.log.Error("alarm", "about", key, "text", text)
}

// raise is set for a text with details of the moment, which stay as they are while the alarm lasts.
func (a *alarms) raise(key, text string) {
	a.mu.Lock()
	_, was := a.active[key]
	a.mu.Unlock()
	if !was {
		a.set(key, text)
	}
}

func (a *alarms) clear(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, was := a.active[key]; was {
		delete(a.active, key)
		a.log.Info("alarm over", "about", key)
	}
}

// SetAlarm is for the other parts of the hub: it raises the alarm with this key or changes its text, which says what is wrong
// and what to do. "" ends it.
func (s *Store) SetAlarm(key, text string) {
	if text == "" {
		s.alarms.clear(key)
		return
	}
	s.alarms.set(key, text)
}

// Alarms returns what an operator has to know now, the oldest first.
func (s *Store) Alarms() []Alarm { return s.alarms.list() }

func (a *alarms) list() []Alarm {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make([]Alarm, 0, len(a.active))
	for key, alarm := range a.active {
		list = append(list, Alarm{Key: key, Since: a.clock.Time(alarm.since), Text: alarm.text})
	}
	slices.SortFunc(list, func(x, y Alarm) int {
		if c := x.Since.Compare(y.Since); c != 0 {
			return c
		}
		return strings.Compare(x.Text, y.Text)
	})
	return list
}
