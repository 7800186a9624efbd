package settings

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
)

// SettingStatus says whether a device has what it is to have.
type SettingStatus string

const (
	SettingInSync  SettingStatus = "in_sync" // the newest reading is the desired value
	SettingPending SettingStatus = "pending" // it is not, and the hub sends the desired value whenever it can
	SettingRefused SettingStatus = "refused" // the device has rejected the desired value: it is not sent again
	SettingCleared SettingStatus = "cleared" // nothing is desired any more: only watchers are told
)

// Setting is the desired value of a writable channel beside what the device reports.
type Setting struct {
	Device     string        `json:"device"`
	Channel    string        `json:"channel"`
	Desired    any           `json:"desired"` // bool, int64, float64 or string; numbers are not scaled
	By         string        `json:"by"`
	From       string        `json:"from,omitempty"`
	Set        time.Time     `json:"set"` // when it was desired
	Status     SettingStatus `json:"status"`
	Since      time.Time     `json:"since"`              // when the status began
	Reason     string        `json:"reason,omitempty"`   // why it is not in sync, as far as is known
	Reported   any           `json:"reported,omitempty"` // as of the status, or newer; nil: nothing yet
	ReportedAt time.Time     `json:"reported_at,omitzero"`

	tries int       // of sending it, in a row; in memory only
	next  time.Time // not to be sent before; in memory only
}

// The desired value is sent again after so long if it has no effect, then after twice as long each time.
const (
	settingRetry     = 10 * time.Second
	settingRetryMost = 10 * time.Minute
	settingTTL       = 30 * time.Second
)

// Reported is what a device says that a writable channel has.
type Reported struct {
	Channel string
	Value   device.Value
	Time    time.Time
}

// SetDesired gives a writable channel a desired value, which is on disk when it returns. The hub sends it to the device now or when
// that connects, and again whenever the device reports another value. Errors are [*CommandError] and ErrNoDevice.
func (s *Store) SetDesired(deviceID, channel string, value any, by, from string) (Setting, error) {
	ch, err := s.writable(deviceID, channel)
	if err != nil {
		return Setting{}, err
	}
	if value, err = settingValue(ch, value); err != nil {
		return Setting{}, err
	}
	var result Setting
	err = s.commands.do(func(c *commandChange) error {
		next := &Setting{
			Device: deviceID, Channel: channel, Desired: value, By: audit.Printable(by), From: audit.Printable(from), Set: c.now.UTC(),
			Status: SettingPending, Since: c.now.UTC(),
		}
		if old := c.touch(deviceID).settings[channel]; old != nil {
			next.Reported, next.ReportedAt = old.Reported, old.ReportedAt
		}
		if r, ok := s.commands.newest[deviceID][channel]; ok {
			next.Reported, next.ReportedAt = plainOf(r.Value), r.Time.UTC()
		}
		if next.met() {
			next.Status = SettingInSync
		}
		c.change(next, who{by, from}, fmt.Sprintf("desired %v", value))
		result = *next
		return nil
	})
	return result, err
}

// ClearDesired ends the hub's care for a channel: the device keeps what it has.
func (s *Store) ClearDesired(deviceID, channel, by, from string) error {
	return s.commands.do(func(c *commandChange) error {
		d := c.touch(deviceID)
		old := d.settings[channel]
		if old == nil {
			return &CommandError{ErrNoCommand, fmt.Sprintf("%s has no desired value for %q", deviceID, channel), ""}
		}
		delete(d.settings, channel)
		c.set[deviceID] = true
		c.settings = append(c.settings, cleared(old, who{by, from}, c.now))
		c.audit = append(c.audit, audit.Entry{By: by, From: from, Action: "setting cleared", Device: deviceID, Text: channel})
		for _, open := range slices.Clone(d.queued) {
			if open.Name == device.CommandSet && len(open.Args) == 1 && hasKey(open.Args, channel) {
				c.apply(open, eventCancel, who{by, from}, func(o *Command) { o.Text = "nothing is desired any more" })
			}
		}
		return nil
	})
}

// cleared is what watchers are told when nothing is desired any more.
func cleared(old *Setting, by who, now time.Time) Setting {
	return Setting{
		Device: old.Device, Channel: old.Channel, By: audit.Printable(by.by), From: audit.Printable(by.from), Set: now.UTC(),
		Status: SettingCleared, Since: now.UTC(), Reported: old.Reported, ReportedAt: old.ReportedAt,
	}
}

func hasKey(args map[string]any, name string) bool {
	_, ok := args[name]
	return ok
}

// Desired returns the desired values of a device, by channel name.
func (s *Store) Desired(deviceID string) []Setting {
	b := &s.commands
	b.writing.Lock()
	defer b.writing.Unlock()
	list := []Setting{}
	if d := b.devices[deviceID]; d != nil {
		for _, channel := range slices.Sorted(maps.Keys(d.settings)) {
			list = append(list, *d.settings[channel])
		}
	}
	return list
}

// WatchDesired calls f after every change of a setting but its reported value, when it is on disk, in order. f must be quick and
// must not call methods of the store that change commands or settings. stop ends it, and may be called more than once.
func (s *Store) WatchDesired(f func(Setting)) (stop func()) { return s.commands.settings.add(f) }

// Report takes in what a device says of its writable channels; the newest reading counts. It costs a write only if a status
// changes. It returns whether something is to be sent to the device now.
func (s *Store) Report(deviceID string, reports []Reported) (due bool, err error) {
	b := &s.commands
	b.writing.Lock()
	reports = b.remember(deviceID, reports, s.now())
	d := b.devices[deviceID]
	news := d != nil && slices.ContainsFunc(reports, d.news)
	b.writing.Unlock()
	if !news {
		return false, nil
	}
	err = b.do(func(c *commandChange) error {
		d := c.touch(deviceID)
		for _, r := range reports {
			if d.news(r) {
				c.reported(d.settings[r.Channel], &r)
			}
		}
		due = d.settingDue(c.now)
		return nil
	})
	return due, err
}

// remember keeps what is newer than what was known, and returns it. A reading that is a little ahead of the hub's clock counts as
// one of now. What is known of a moment that is still to come was known before the hub's clock was set back.
func (b *commandBook) remember(deviceID string, reports []Reported, now time.Time) (news []Reported) {
	known := b.newest[deviceID]
	if known == nil || len(known) > device.MaxChannels { // of ever new schemas
		known = map[string]Reported{}
		b.newest[deviceID] = known
	}
	for _, r := range reports {
		if r.Time.After(now.Add(futureTolerance)) {
			continue
		}
		if r.Time.After(now) {
			r.Time = now
		}
		before := known[r.Channel].Time
		if d := b.devices[deviceID]; d != nil && before.IsZero() && d.settings[r.Channel] != nil {
			before = d.settings[r.Channel].ReportedAt // known before the hub started
		}
		if before.After(now) || !r.Time.Before(before) {
			known[r.Channel] = r
			news = append(news, r)
		}
	}
	return news
}

// news says whether a report changes what is known of a channel with a desired value.
func (d *deviceCommands) news(r Reported) bool {
	set := d.settings[r.Channel]
	return set != nil && set.Reported != plainOf(r.Value)
}

func (ch *commandChange) reported(old *Setting, r *Reported) {
	next := *old
	next.Reported, next.ReportedAt = plainOf(r.Value), r.Time.UTC()
	met := next.met()
	switch {
	case met && next.Status != SettingInSync:
		next.Status, next.Since, next.Reason = SettingInSync, ch.now.UTC(), ""
		next.tries, next.next = 0, time.Time{}
		ch.change(&next, who{by: next.Device}, fmt.Sprintf("reports %v as desired", next.Reported))
	case !met && next.Status == SettingInSync:
		next.Status, next.Since, next.Reason = SettingPending, ch.now.UTC(), "the device has changed it"
		ch.change(&next, who{by: next.Device}, fmt.Sprintf("reports %v, desired is %v", next.Reported, next.Desired))
	default:
		ch.touch(next.Device).settings[next.Channel] = &next // in memory: it is reported again
	}
}

// setEnded takes the outcome of a command that sets a channel.
func (ch *commandChange) setEnded(c *Command) {
	d := ch.touch(c.Device)
	for channel, value := range c.Args {
		old := d.settings[channel]
		if old == nil || old.Desired != value || old.Status != SettingPending {
			continue // something else is desired by now
		}
		next := *old
		switch c.State {
		case CommandRejected:
			next.Status, next.Since, next.Reason = SettingRefused, ch.now.UTC(), c.Text
		case CommandFailed, CommandExpired, CommandUnknown:
			next.Reason = fmt.Sprintf("%s: %s", c.State, c.Text)
		case CommandSucceeded:
			next.Reason = "" // the next reading tells
		default:
			continue
		}
		if next.Status != old.Status {
			ch.change(&next, who{by: c.Device}, fmt.Sprintf("refuses %v: %s", value, c.Text))
			continue
		}
		d.settings[channel] = &next
		ch.set[c.Device] = true
		ch.settings = append(ch.settings, next)
	}
}

// change has a setting written, told and entered in the audit trail.
func (ch *commandChange) change(next *Setting, by who, text string) {
	ch.touch(next.Device).settings[next.Channel] = next
	ch.set[next.Device] = true
	ch.settings = append(ch.settings, *next)
	ch.audit = append(ch.audit, audit.Entry{By: by.by, From: by.from, Action: "setting " + string(next.Status), Device: next.Device, Text: next.Channel + " " + text})
}

// settingDue says whether a desired value is to be sent now.
func (d *deviceCommands) settingDue(now time.Time) bool {
	for _, set := range d.settings {
		if set.Status == SettingPending && !now.Before(set.next) && !d.setting(set.Channel) {
			return true
		}
	}
	return false
}

// setting says whether a command that sets the channel is under way.
func (d *deviceCommands) setting(channel string) bool {
	sets := func(c *Command) bool { return c.Name == device.CommandSet && hasKey(c.Args, channel) }
	return slices.ContainsFunc(d.queued, sets) || slices.ContainsFunc(d.sent, sets)
}

// sendSettings enters commands for the desired values that the device does not have. It returns when to look again, zero if there
// is nothing to look for.
func (ch *commandChange) sendSettings(id string, schema *device.Schema) (again time.Time) {
	d := ch.touch(id)
	for _, channel := range slices.Sorted(maps.Keys(d.settings)) {
		set := d.settings[channel]
		if _, writable := schema.Setting(channel); !writable || set.Status != SettingPending {
			continue
		}
		if !ch.now.Before(set.next) && (!d.setting(channel) || ch.outdated(d, set)) {
			next := *set
			next.next = ch.now.Add(min(settingRetry<<min(set.tries, 10), settingRetryMost))
			next.tries++
			c := &Command{
				ID: device.NewCommandID(), Device: id, Name: device.CommandSet, Args: map[string]any{channel: set.Desired},
				By: set.By, From: "desired value", Created: ch.now.UTC(), Deadline: ch.now.Add(settingTTL).UTC(), Idempotent: true,
			}
			if _, err := ch.accept(c, &settingSpec); err == nil {
				d.settings[channel] = &next
				set = &next
			}
		}
		if again.IsZero() || set.next.Before(again) {
			again = set.next
		}
	}
	return again
}

// outdated says whether the command that sets the channel has another value than is desired now.
func (ch *commandChange) outdated(d *deviceCommands, set *Setting) bool {
	current := false
	for _, list := range [][]*Command{d.queued, d.sent} {
		for _, c := range list {
			if v, ok := c.Args[set.Channel]; ok && c.Name == device.CommandSet {
				current = v == set.Desired // the last one counts
			}
		}
	}
	return !current
}
