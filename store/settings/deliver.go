package settings

import (
	"fmt"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
)

// The desired value is sent again after so long if it has no effect, then after twice as long each time.
const (
	retryFirst = 10 * time.Second
	retryMost  = 10 * time.Minute
	commandTTL = 30 * time.Second
)

// deliver enters commands for the desired values that the device does not have. It returns when to look again, zero if there is
// nothing to look for. On a new connection nothing waits for its next try.
func (s *Settings) deliver(c *commands.Change, deviceID string, schema *device.Schema, first bool) (again time.Time) {
	for _, set := range s.list(deviceID) {
		if first && set.tries > 0 {
			next := *set
			next.tries, next.next = 0, time.Time{}
			s.replace(&next)
			set = &next
		}
		if _, writable := schema.Setting(set.Channel); !writable || set.Status != Pending {
			continue
		}
		if open := c.Open(deviceID); !c.Now().Before(set.next) && (!underWay(open, set.Channel) || outdated(open, set)) {
			next := *set
			next.next = c.Now().Add(min(retryFirst<<min(set.tries, 10), retryMost))
			next.tries++
			err := c.Send(&commands.Command{
				ID: device.NewCommandID(), Device: deviceID, Name: device.CommandSet, Args: map[string]any{set.Channel: set.Desired},
				By: set.By, From: "desired value", Created: c.Now().UTC(), Deadline: c.Now().Add(commandTTL).UTC(), Idempotent: true,
			}, true)
			if err == nil {
				s.replace(&next)
				set = &next
			}
		}
		if again.IsZero() || set.next.Before(again) {
			again = set.next
		}
	}
	return again
}

// due says whether a desired value is to be sent now.
func (s *Settings) due(c *commands.Change, deviceID string) bool {
	open := c.Open(deviceID)
	return slices.ContainsFunc(s.list(deviceID), func(set *Setting) bool {
		return set.Status == Pending && !c.Now().Before(set.next) && !underWay(open, set.Channel)
	})
}

// sets says whether a command sets a channel.
func sets(c *commands.Command, channel string) bool {
	_, ok := c.Args[channel]
	return ok && c.Name == device.CommandSet
}

// underWay says whether a command that sets the channel is.
func underWay(open []*commands.Command, channel string) bool {
	return slices.ContainsFunc(open, func(c *commands.Command) bool { return sets(c, channel) })
}

// outdated says whether the command that sets the channel has another value than is desired now.
func outdated(open []*commands.Command, set *Setting) bool {
	current := false
	for _, c := range open {
		if sets(c, set.Channel) {
			current = c.Args[set.Channel] == set.Desired // the last one counts
		}
	}
	return !current
}

// commandChanged takes the outcome of a command that sets a channel.
func (s *Settings) commandChanged(c *commands.Change, cmd *commands.Command) {
	for channel, value := range cmd.Args {
		old := s.get(cmd.Device, channel)
		if old == nil || old.Desired != value || old.Status != Pending {
			continue // something else is desired by now
		}
		next := *old
		switch cmd.State {
		case commands.Rejected:
			next.Status, next.Since, next.Reason = Refused, c.Now().UTC(), cmd.Text
		case commands.Failed, commands.Expired, commands.Unknown:
			next.Reason = fmt.Sprintf("%s: %s", cmd.State, cmd.Text)
		case commands.Succeeded:
			next.Reason = "" // the next reading tells
		default:
			continue
		}
		s.replace(&next)
		if next.Status != old.Status {
			s.note(c, &next, cmd.Device, "", fmt.Sprintf("refuses %v: %s", value, cmd.Text))
		} else {
			s.save(c, &next)
		}
	}
}
