package live

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/notify"
	"github.com/telemetry-hub/telemetry-hub/store/settings"
)

const (
	commandsSuffix = "/commands"

	// QueueDestination tells viewers of the commands that they have sent.
	QueueDestination = "/user/queue/commands"
)

// What a topic of commands holds and tells.
const (
	newestCommands  = 20   // in a snapshot, whatever their state
	openCommands    = 200  // in a snapshot, besides
	changedCommands = 500  // in an update; of more, there is a snapshot
	loadedCommands  = 1000 // looked at when the topic is made
	heldSettled     = 1000
	heldCommands    = 2000
)

// commandTopic is the content of /topic/devices/{id}/commands and /user/queue/commands.
type commandTopic struct {
	// static
	feed *Feed
	key  commandKey
	from uint64 // tick since which changes are known

	// guarded by Feed.mu
	commands map[uint64]*heldCommand // by number
	settled  int                     // of those held
	settings map[string]*heldSetting // by channel; those that were cleared stay, as such
	changed  uint64                  // tick of the last change
	lost     uint64                  // last tick of which a change may not be told, because the command is not held any more
}

// commandKey says which commands a topic is about: those for a device, or those sent by a user.
type commandKey struct{ device, user string }

func (k commandKey) matches(c *commands.Command) bool {
	return c.Device == k.device || k.device == "" && c.By == k.user
}

type heldCommand struct {
	commands.Command
	changed uint64 // tick; 0: before the topic was made
}

type heldSetting struct {
	settings.Setting
	changed uint64
}

// watchCommands has the store report commands and desired values, until stop is called.
func (f *Feed) watchCommands() (stop func()) {
	stopCommands := f.store.Commands.Watch(func(c commands.Command) {
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, key := range []commandKey{{device: c.Device}, {user: c.By}} {
			if t := f.commands[key]; t != nil {
				t.command(&c, f.open())
				if !c.State.Open() {
					f.endTickEarly()
				}
			}
		}
	})
	stopSettings := f.store.Settings.Watch(func(s settings.Setting) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if t := f.commands[commandKey{device: s.Device}]; t != nil {
			t.changed = f.open()
			t.settings[s.Channel] = &heldSetting{s, t.changed}
		}
	})
	return func() { stopCommands(); stopSettings() }
}

// endTickEarly ends the tick under way: somebody may be waiting for what has just happened.
func (f *Feed) endTickEarly() {
	notify.Signal(f.hurry)
}

func (f *Feed) newCommandTopic(key commandKey, cut uint64) content {
	t := &commandTopic{feed: f, key: key, from: cut, commands: map[uint64]*heldCommand{}, settings: map[string]*heldSetting{}}
	f.mu.Lock()
	f.commands[key] = t
	f.mu.Unlock()
	t.load()
	return t
}

// load takes in what there is already. What changes at the same moment is reported, too, and counts.
func (t *commandTopic) load() {
	filter := commands.Filter{Device: t.key.device, Limit: loadedCommands}
	list, err := t.feed.store.Commands.List(filter)
	if err != nil {
		t.feed.log.Error("commands can't be read", "error", err)
	}
	var desired []settings.Setting
	if t.key.device != "" {
		desired = t.feed.store.Settings.List(t.key.device)
	}
	t.feed.mu.Lock()
	defer t.feed.mu.Unlock()
	for i := range list {
		if t.key.matches(&list[i]) {
			t.command(&list[i], 0)
		}
	}
	for _, s := range desired {
		if t.settings[s.Channel] == nil {
			t.settings[s.Channel] = &heldSetting{s, 0}
		}
	}
}

// command takes in what a command is, as of a tick. Feed.mu is held.
func (t *commandTopic) command(c *commands.Command, tick uint64) {
	h := t.commands[c.Number]
	switch {
	case h == nil:
		h = &heldCommand{}
		t.commands[c.Number] = h
	case progress(c.State) <= progress(h.State): // it was read from the store before it was told
		return
	case !h.State.Open():
		t.settled--
	}
	h.Command, h.changed = *c, max(h.changed, tick)
	t.changed = max(t.changed, tick)
	if !c.State.Open() {
		t.settled++
	}
	if t.settled > heldSettled || len(t.commands) > heldCommands {
		t.drop()
	}
}

// progress orders the states as a command goes through them.
func progress(s commands.State) int {
	switch s {
	case commands.Queued:
		return 0
	case commands.Sent:
		return 1
	case commands.Unknown:
		return 2
	default:
		return 3
	}
}

// drop gives up half of the settled commands, those that have not changed for longest; if that is not enough, the older half of all.
func (t *commandTopic) drop() {
	all := slices.SortedFunc(maps.Values(t.commands), func(a, b *heldCommand) int {
		switch {
		case a.State.Open() != b.State.Open():
			if b.State.Open() {
				return -1
			}
			return 1
		case a.changed != b.changed:
			return cmp.Compare(a.changed, b.changed)
		}
		return cmp.Compare(a.Number, b.Number)
	})
	n := t.settled / 2
	if len(all)-n > heldCommands {
		n = len(all) / 2
	}
	for _, h := range all[:n] {
		delete(t.commands, h.Number)
		t.lost = max(t.lost, h.changed)
		if !h.State.Open() {
			t.settled--
		}
	}
}

func (t *commandTopic) advance(cut uint64, _ bool) bool {
	t.feed.mu.Lock()
	defer t.feed.mu.Unlock()
	return t.changed >= cut
}

func (t *commandTopic) covers(since uint64) bool {
	t.feed.mu.Lock()
	defer t.feed.mu.Unlock()
	if since < t.from || since < t.lost {
		return false
	}
	n := 0
	for _, h := range t.commands {
		if h.changed > since {
			n++
		}
	}
	return n <= changedCommands
}

func (t *commandTopic) close() {
	t.feed.mu.Lock()
	defer t.feed.mu.Unlock()
	if t.feed.commands[t.key] == t {
		delete(t.feed.commands, t.key)
	}
}

// body writes a CommandsUpdate.
func (t *commandTopic) body(since, _ uint64, snapshot bool) []byte {
	u := CommandsUpdate{Now: millis(t.feed.micros()), Kind: KindUpdate, Settings: []SettingStatus{}}
	var list []commands.Command
	t.feed.mu.Lock()
	for _, h := range t.commands {
		if snapshot || h.changed > since {
			list = append(list, h.Command)
		}
	}
	for _, h := range t.settings {
		if snapshot && h.Status != settings.Cleared || !snapshot && h.changed > since {
			u.Settings = append(u.Settings, SettingStatusOf(&h.Setting))
		}
	}
	t.feed.mu.Unlock()
	slices.SortFunc(u.Settings, func(a, b SettingStatus) int { return strings.Compare(a.Channel, b.Channel) })
	slices.SortFunc(list, func(a, b commands.Command) int { return cmp.Compare(b.Number, a.Number) })
	if snapshot {
		u.Kind = KindSnapshot
		list, u.More = outline(list)
	}
	u.Commands = make([]CommandStatus, len(list))
	for i := range list {
		u.Commands[i] = CommandStatusOf(&list[i])
	}
	return encode(&u)
}

// outline keeps the newest commands and the newest of those that are open. more: others are open, too.
func outline(newestFirst []commands.Command) (kept []commands.Command, more bool) {
	open := 0
	for i := range newestFirst {
		c := &newestFirst[i]
		if c.State.Open() {
			if open++; open > openCommands {
				return kept, true
			}
		}
		if i < newestCommands || c.State.Open() {
			kept = append(kept, *c)
		}
	}
	return kept, false
}
