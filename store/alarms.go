package store

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// alarms are the conditions an operator has to know, each under a key, logged once per change.
type alarms struct {
	now func() time.Time
	log *slog.Logger

	mu     sync.Mutex
	active map[string]Alarm
}

func (a *alarms) set(key, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.active == nil {
		a.active = map[string]Alarm{}
	}
	old, was := a.active[key]
	if was && old.Text == text {
		return
	}
	since := old.Since
	if !was {
		since = a.now()
	}
	a.active[key] = Alarm{Since: since, Text: text}
	a.log.Error("alarm", "about", key, "text", text)
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
	for _, alarm := range a.active {
		list = append(list, alarm)
	}
	slices.SortFunc(list, func(x, y Alarm) int {
		if c := x.Since.Compare(y.Since); c != 0 {
			return c
		}
		return strings.Compare(x.Text, y.Text)
	})
	return list
}
