package live

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/settings"
)

// order sends a command to a device, as somebody.
func (r *rig) order(id, by string) commands.Command {
	r.t.Helper()
	c, err := r.store.Commands.Send(commands.New{Device: id, Name: "reboot", Args: map[string]any{"after": int64(1)}, By: by, From: "192.0.2.7 (page)"})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// obey delivers what is queued for a device, and answers what has been delivered.
func (r *rig) obey(d *commands.Delivery, answers ...*device.Result) {
	r.t.Helper()
	if _, _, err := d.Exchange(answers); err != nil {
		r.t.Fatal(err)
	}
}

func (w *watcher) commands() CommandsUpdate {
	w.t.Helper()
	return decode[CommandsUpdate](w.t, w.one().Body)
}

// told is what an update says of commands: number and state.
type told struct {
	number uint64
	state  string
}

func (u *CommandsUpdate) told() (list []told) {
	for _, c := range u.Commands {
		list = append(list, told{c.Number, c.State})
	}
	return list
}

func (u *CommandsUpdate) expect(t testing.TB, kind string, want ...told) {
	t.Helper()
	if u.Kind != kind || !slices.Equal(u.told(), want) {
		t.Errorf("%s %v, expected %s %v", u.Kind, u.told(), kind, want)
	}
}

func TestCommandsOfADeviceAndOfAUser(t *testing.T) {
	r := newRig(t, "a", "b")
	r.device("a")
	r.device("b")
	first := r.order("a", "anna")
	of, own, other := r.watcher(), r.watcher(), r.watcher()
	own.Is("anna")
	other.Is("ben")
	of.subscribe("/topic/devices/a/commands")
	own.subscribe(QueueDestination)
	other.subscribe(QueueDestination)
	for _, w := range []*watcher{of, own} {
		u := w.commands()
		u.expect(t, KindSnapshot, told{1, "queued"})
		c := u.Commands[0]
		if c.ID != first.ID.String() || c.Device != "a" || c.Name != "reboot" || c.Args["after"] != 1.0 || c.By != "anna" ||
			c.From != "192.0.2.7 (page)" || c.Created != r.clock.millis(0) || c.Deadline != c.Created+30_000 || c.Changed != c.Created || c.Sent != 0 {
			t.Errorf("%+v", c)
		}
	}
	nothing := other.commands()
	nothing.expect(t, KindSnapshot)

	r.order("b", "anna")
	r.order("a", "ben")
	r.ticks(1)
	u := of.commands()
	u.expect(t, KindUpdate, told{3, "queued"})
	u = own.commands()
	u.expect(t, KindUpdate, told{2, "queued"})
	u = other.commands()
	u.expect(t, KindUpdate, told{3, "queued"})

	// All that happens within a tick is told once, as it is in the end.
	d := r.store.Commands.Delivery("a", 1)
	r.obey(d)
	r.obey(d, &device.Result{ID: first.ID, Status: device.ResultFailed, Text: "no", Values: map[string]any{"tries": int64(2)}})
	r.ticks(1)
	u = of.commands()
	u.expect(t, KindUpdate, told{3, "sent"}, told{1, "failed"})
	if c := u.Commands[1]; c.Text != "no" || c.Values["tries"] != 2.0 || c.Sent == 0 {
		t.Errorf("%+v", c)
	}
	u = own.commands()
	u.expect(t, KindUpdate, told{1, "failed"})
	u = other.commands()
	u.expect(t, KindUpdate, told{3, "sent"})
	r.ticks(1)
	of.none()

	// A later viewer sees what is there; nothing happens, and that is said once a second.
	late := r.watcher()
	late.subscribe("/topic/devices/a/commands")
	u = late.commands()
	u.expect(t, KindSnapshot, told{3, "sent"}, told{1, "failed"})
	r.pass(time.Second)
	u = late.commands()
	u.expect(t, KindUpdate)
	if u.Commands == nil || u.Settings == nil {
		t.Error("null instead of []")
	}
}

func TestCommandsWithoutADeviceOrAUser(t *testing.T) {
	r := newRig(t)
	w := r.watcher()
	for _, destination := range []string{QueueDestination, "/topic/devices/*/commands", "/topic/devices//commands", "/topic/devices/a/b/commands",
		"/topic/devices/a/readings/commands", "/topic/devices/a/commands/readings", "/topic/commands"} {
		if err := w.Subscribe("x", destination, map[string]string{"user": "anna"}, nil); !errors.Is(err, ErrNoTopic) {
			t.Errorf("%s: %v", destination, err)
		}
	}
	w.subscribe("/topic/devices/nobody/commands")
	u := w.commands()
	u.expect(t, KindSnapshot)
}

func TestSettingsOfADevice(t *testing.T) {
	r := newRig(t, "a")
	d := r.connect("a", 1)
	set := func(v float64) {
		t.Helper()
		if _, err := r.store.Settings.Set("a", "level", v, "anna", "here"); err != nil {
			t.Fatal(err)
		}
	}
	set(2)
	w := r.watcher()
	w.subscribe("/topic/devices/a/commands")
	u := w.commands()
	if len(u.Settings) != 1 || u.Settings[0].Desired != 2.0 || u.Settings[0].Status != "pending" || u.Settings[0].By != "anna" || u.Settings[0].From != "here" {
		t.Fatalf("%+v", u.Settings)
	}
	set(3)
	set(4)
	r.ticks(1)
	if u = w.commands(); u.Kind != KindUpdate || len(u.Settings) != 1 || u.Settings[0].Desired != 4.0 {
		t.Errorf("%+v", u)
	}
	four := device.Value{Type: device.Float64, Bits: bitsOf(4)}
	if _, err := r.store.Settings.Report("a", []settings.Reported{{Channel: "level", Value: four, Time: r.clock.now()}}); err != nil {
		t.Fatal(err)
	}
	r.ticks(1)
	if u = w.commands(); len(u.Settings) != 1 || u.Settings[0].Status != "in_sync" || u.Settings[0].Reported != 4.0 {
		t.Errorf("%+v", u)
	}
	if err := r.store.Settings.Clear("a", "level", "anna", "here"); err != nil {
		t.Fatal(err)
	}
	r.ticks(1)
	if u = w.commands(); len(u.Settings) != 1 || u.Settings[0].Status != "cleared" || u.Settings[0].Desired != nil || u.Settings[0].Channel != "level" {
		t.Errorf("%+v", u)
	}
	late := r.watcher()
	late.subscribe("/topic/devices/a/commands")
	if u = late.commands(); len(u.Settings) != 0 {
		t.Errorf("%+v", u)
	}
	set(5)
	r.ticks(1)
	w.one()
	if err := r.store.RemoveDevice(d.id); err != nil {
		t.Fatal(err)
	}
	r.ticks(1)
	if u = w.commands(); len(u.Settings) != 1 || u.Settings[0].Status != "cleared" {
		t.Errorf("removed: %+v", u)
	}
}

func TestManyCommands(t *testing.T) {
	r := newRig(t, "a")
	r.device("a")
	w, resting := r.watcher(), r.watcher()
	w.subscribe("/topic/devices/a/commands")
	resting.subscribe("/topic/devices/a/commands")
	w.one()
	before := resting.one()
	orders := make([]commands.Command, changedCommands+1)
	for i := range orders {
		orders[i] = r.order("a", "anna")
	}
	r.ticks(1)
	// More than an update tells: a snapshot of the newest.
	u := w.one()
	body := decode[CommandsUpdate](t, u.Body)
	if !u.Snapshot || body.Kind != KindSnapshot || len(body.Commands) != openCommands || !body.More || body.Commands[0].Number != uint64(len(orders)) {
		t.Errorf("%s with %d commands, more: %v", body.Kind, len(body.Commands), body.More)
	}
	for i := range orders {
		if _, err := r.store.Commands.Cancel(orders[i].ID, "anna", ""); err != nil {
			t.Fatal(err)
		}
		if i == changedCommands-1 {
			r.ticks(1)
			u := w.one()
			if body := decode[CommandsUpdate](t, u.Body); body.Kind != KindUpdate || len(body.Commands) != changedCommands || body.Commands[0].State != "cancelled" {
				t.Errorf("%s with %d commands", body.Kind, len(body.Commands))
			}
		}
	}
	r.ticks(1)
	u = w.one()
	if body := decode[CommandsUpdate](t, u.Body); body.Kind != KindUpdate || len(body.Commands) != 1 {
		t.Errorf("%s with %d commands", body.Kind, len(body.Commands))
	}
	// Who has not taken anything meanwhile gets the end only.
	u = resting.one()
	if body = decode[CommandsUpdate](t, u.Body); body.Kind != KindSnapshot || len(body.Commands) != newestCommands || body.More || u.Dropped != 2 {
		t.Errorf("%s with %d commands, more: %v, dropped %d", body.Kind, len(body.Commands), body.More, u.Dropped)
	}
	resumed := r.watcher()
	resumed.resume(&Position{Epoch: before.Epoch, Offset: u.Offset}, "/topic/devices/a/commands")
	if u := resumed.one(); !u.Resumed || u.Missed != 0 {
		t.Errorf("%+v", u)
	}
}

// A topic holds a bounded number of commands, and tells who may have missed something.
func TestHeldCommands(t *testing.T) {
	r := newRig(t)
	topic := &commandTopic{feed: r.Feed, key: commandKey{device: "a"}, commands: map[uint64]*heldCommand{}, settings: map[string]*heldSetting{}}
	for n := uint64(1); n <= 5000; n++ {
		c := commands.Command{Number: n, Device: "a", State: commands.Queued}
		topic.command(&c, n)
		if n%10 > 0 { // every tenth stays open
			c.State = commands.Expired
			topic.command(&c, n)
			c.State = commands.Sent // told late
			topic.command(&c, n)
		}
		settled := 0
		for _, h := range topic.commands {
			if !h.State.Open() {
				settled++
			}
		}
		if settled != topic.settled || settled > heldSettled || len(topic.commands) > heldCommands {
			t.Fatalf("%d: %d held, %d settled, %d counted", n, len(topic.commands), settled, topic.settled)
		}
		if h := topic.commands[n]; h == nil || n%10 > 0 && h.State != commands.Expired {
			t.Fatalf("%d: %+v", n, h)
		}
	}
	if topic.commands[10] == nil {
		t.Error("an open command is gone, while settled ones are there")
	}
	if topic.lost == 0 || topic.covers(topic.lost-1) {
		t.Errorf("lost %d", topic.lost)
	}
	if few := (&commandTopic{feed: r.Feed, lost: 7}); few.covers(6) || !few.covers(7) {
		t.Error("who has not seen what was dropped needs a snapshot")
	}
	for n := uint64(6000); n < 9000; n++ {
		topic.command(&commands.Command{Number: n, Device: "a", State: commands.Queued}, n)
		if len(topic.commands) > heldCommands {
			t.Fatalf("%d held", len(topic.commands))
		}
	}
}

// The feed lets go of the store at its end, and of topics that nobody watches.
func TestCommandTopicsEnd(t *testing.T) {
	r := newRig(t, "a")
	r.device("a")
	w := r.watcher()
	w.subscribe("/topic/devices/a/commands")
	w.Close()
	r.pass((idleSeconds + 2) * time.Second)
	r.order("a", "anna")
	r.mu.Lock()
	if len(r.Feed.commands) != 0 {
		t.Error("the topic is still there")
	}
	r.mu.Unlock()
}
