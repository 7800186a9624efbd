package settings

import (
	"fmt"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
)

// futureTolerance is how far ahead of the hub's clock a reading may be and still be believed: as one of its receipt.
const futureTolerance = 5 * time.Minute

// Reported is what a device says that a writable channel has.
type Reported struct {
	Channel string
	Value   device.Value
	Time    time.Time
}

// Report takes in what a device says of its writable channels; the newest reading counts. It costs a write only if a status
// changes. It returns whether something is to be sent to the device now.
func (s *Settings) Report(deviceID string, reports []Reported) (due bool, err error) {
	reports, news := s.news(deviceID, reports)
	if !news {
		return false, nil
	}
	err = s.book.Do(func(c *commands.Change) error {
		for _, r := range reports {
			if set := s.get(deviceID, r.Channel); set.differs(r) {
				s.reported(c, set, &r)
			}
		}
		due = s.due(c, deviceID)
		return nil
	})
	return due, err
}

// news returns the reports that count, and whether they change a setting. Once a device is removed, nothing is remembered of it.
func (s *Settings) news(deviceID string, reports []Reported) (counting []Reported, news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.book.Device(deviceID); err != nil {
		return nil, false
	}
	counting = s.remember(deviceID, reports, s.clock.Now())
	known := s.of(deviceID)
	return counting, slices.ContainsFunc(counting, func(r Reported) bool { return known[r.Channel].differs(r) })
}

// remember keeps what is newer than what was known, and returns it; mu is held. A reading that is a little ahead of the hub's clock
// counts as one of now. What is known of a moment that is still to come was known before the hub's clock was set back.
func (s *Settings) remember(deviceID string, reports []Reported, now time.Time) (news []Reported) {
	known := s.newest[deviceID]
	if known == nil || len(known) > device.MaxChannels { // of ever new schemas
		known = map[string]Reported{}
		s.newest[deviceID] = known
	}
	for _, r := range reports {
		if r.Time.After(now.Add(futureTolerance)) {
			continue
		}
		if r.Time.After(now) {
			r.Time = now
		}
		before := known[r.Channel].Time
		if set := s.of(deviceID)[r.Channel]; set != nil && before.IsZero() {
			before = set.ReportedAt // known before the hub started
		}
		if before.After(now) || !r.Time.Before(before) {
			known[r.Channel] = r
			news = append(news, r)
		}
	}
	return news
}

// differs says whether a report changes what is known of a channel with a desired value; nil is one without.
func (s *Setting) differs(r Reported) bool { return s != nil && s.Reported != plain(r.Value) }

func (s *Settings) reported(c *commands.Change, old *Setting, r *Reported) {
	next := *old
	next.Reported, next.ReportedAt = plain(r.Value), r.Time.UTC()
	met := next.met()
	text := ""
	switch {
	case met && next.Status != InSync:
		next.Status, next.Since, next.Reason = InSync, c.Now().UTC(), ""
		next.tries, next.next = 0, time.Time{}
		text = fmt.Sprintf("reports the desired %v", next.Reported)
	case !met && next.Status == InSync:
		next.Status, next.Since, next.Reason = Pending, c.Now().UTC(), "the device has changed it"
		text = fmt.Sprintf("reports %v instead of %v", next.Reported, next.Desired)
	}
	s.replace(&next)
	if text != "" { // else it stays in memory: it is reported again
		s.note(c, &next, next.Device, "", text)
	}
}
