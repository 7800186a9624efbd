package store

import (
	"context"
	"fmt"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/ledger"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

const (
	watchClockEvery = time.Second
	clockAlarmFor   = time.Hour // after the clock was set
)

// watchClock has everything follow the clock when it is set, until ctx ends.
func (s *Store) watchClock(ctx context.Context) {
	ticker := time.NewTicker(watchClockEvery)
	defer ticker.Stop()
	var set time.Time // when the alarm was raised
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.clock.Noticed():
		}
		now := s.clock.Now()
		s.Ledger.FollowClock()
		s.moveTimes()
		if by := s.followed.Follow(s.clock.Base()); by != 0 {
			s.clockSet(now, by)
			set = time.Now()
		}
		if !set.IsZero() && time.Since(set) > clockAlarmFor {
			set = time.Time{}
			s.Alarms.Clear("clock set")
		}
		s.checkFloor(now)
	}
}

// clockSet raises the alarm, and tells everybody who keeps moments that the clock was set.
func (s *Store) clockSet(now time.Time, by time.Duration) {
	text := fmt.Sprintf("the hub's clock was set %s, from %s to %s", forwardOrBack(by), wallclock.Text(now.Add(-by)), wallclock.Text(now))
	if by.Abs() < ledger.LeastClockAlarm {
		s.log.Info(text, "by", by)
	} else {
		s.Alarms.Set("clock set", text+
			": readings that came before keep their times, and nothing expired or was deleted for it; if this happens often, look at the machine's source of time (timedatectl)")
	}
	s.clockWatchers.Notify(struct{}{})
}

func forwardOrBack(by time.Duration) string {
	direction := "forward"
	if by < 0 {
		direction = "back"
	}
	if by = by.Abs(); by >= 48*time.Hour {
		return fmt.Sprintf("%s by %d days", direction, int(by.Hours()/24))
	}
	return fmt.Sprintf("%s by %v", direction, by.Round(time.Millisecond))
}

// Clock is the clock of the hub. Who keeps moments keeps a View of it, to be moved when WatchClock says so.
func (s *Store) Clock() *wallclock.Clock { return s.clock }

// WatchClock calls f after the clock was set. f must be quick. stop ends it, and may be called more than once.
func (s *Store) WatchClock(f func()) (stop func()) {
	return s.clockWatchers.Add(func(struct{}) { f() })
}

// moveTimes moves the times that something expires by.
func (s *Store) moveTimes() {
	for what, follow := range map[string]func() error{
		"commands": s.Commands.FollowClock, "sessions": s.Accounts.FollowClock, "tokens": s.Devices.FollowClock,
	} {
		if err := follow(); err != nil {
			s.log.Warn("times can't be moved to the clock that was set; it is tried again", "of", what, "error", err)
		}
	}
}

// checkFloor raises the alarm while the clock is certainly wrong.
func (s *Store) checkFloor(now time.Time) {
	if now.After(wallclock.Floor) {
		s.Alarms.Clear("clock")
		return
	}
	s.Alarms.Set("clock", fmt.Sprintf("the hub's clock shows a year before this program was made (%d): times of readings that it decides are marked as doubtful "+
		"until it is right; set it, or let the machine get the time from the network (timedatectl)", now.UTC().Year()))
}

// utc is a moment in words.
