package hub

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/settings"
)

// commandedSchema can be told things.
var commandedSchema = &device.Schema{
	Channels: []device.Channel{
		{ID: 2, Name: "temperature", Type: device.Int, Unit: "Cel", Scale: -2},
		{ID: 3, Name: "setpoint", Type: device.Int, Unit: "Cel", Scale: -1, Writable: true},
	},
	Commands: []device.CommandSpec{{Name: "blink", Idempotent: true}, {Name: "count", Args: []device.Arg{{Name: "n", Type: device.Int}}}},
}

var commandedMessage = device.AppendControl(nil, commandedSchema)

// joinCommanded connects a device that can be told things, with a stream of its own.
func (r *rig) joinCommanded(id string, stream uint64) *testDevice {
	r.t.Helper()
	d := r.connect(id)
	h := helloNow()
	h.Stream, h.SchemaHash = stream, device.HashSchema(commandedMessage)
	d.control(h)
	if expect[*device.Welcome](d).NeedSchema {
		d.write(2, commandedMessage)
		eventually(d.t, "the schema is known", func() bool { _, ok := r.store.DeviceSchema(id); return ok })
	}
	return d
}

// leave closes the connection and waits until the hub knows.
func (r *rig) leave(d *testDevice) {
	r.t.Helper()
	_ = d.conn.Close()
	eventually(r.t, d.id+" is gone", func() bool { return !r.hub.Presence(d.id).Connected })
}

func (r *rig) send(n commands.New) commands.Command {
	r.t.Helper()
	c, err := r.store.Commands.Send(n)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) count(id string, n int64) commands.Command {
	r.t.Helper()
	return r.send(commands.New{Device: id, Name: "count", Args: map[string]any{"n": n}})
}

func (r *rig) becomes(c commands.Command, state commands.State) commands.Command {
	r.t.Helper()
	var now commands.Command
	if !await(func() (ok bool) {
		now, _ = r.store.Commands.Get(c.ID)
		return now.State == state
	}) {
		r.t.Fatalf("%s is %s %q, not %s", now.Name, now.State, now.Text, state)
	}
	return now
}

func TestCommandGoesToAConnectedDevice(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	d := r.joinCommanded("a", 1)
	c := r.count("a", 4)
	m := expect[*device.Command](d)
	if m.ID != c.ID || m.Name != "count" || m.Args["n"] != int64(4) || m.Deadline != c.Deadline.UnixMicro() || m.TTL == 0 || m.TTL > 30_000 {
		t.Errorf("%+v", m)
	}
	r.becomes(c, commands.Sent)
	d.control(&device.Result{ID: c.ID, Status: device.ResultFailed, Text: "no", Values: map[string]any{"n": int64(4)}})
	if got := r.becomes(c, commands.Failed); got.Text != "no" || got.Values["n"] != int64(4) {
		t.Errorf("%+v", got)
	}
	// And after another the same way, on a new schema.
	d.write(2, testSchemaMessage)
	eventually(t, "the other schema is known", func() bool {
		s, ok := r.store.DeviceSchema("a")
		return ok && len(s.Commands) == 0
	})
	if _, err := r.store.Commands.Send(commands.New{Device: "a", Name: "blink"}); err == nil {
		t.Error("a command of the earlier schema was accepted")
	}
}

func TestCommandWaitsForTheDevice(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	r.leave(r.joinCommanded("a", 1))
	late := r.send(commands.New{Device: "a", Name: "blink", TTL: time.Second})
	r.becomes(late, commands.Expired)
	var waiting []commands.Command
	for n := range 20 {
		waiting = append(waiting, r.count("a", int64(n)))
	}
	d := r.joinCommanded("a", 1)
	for _, c := range waiting {
		if m := expect[*device.Command](d); m.ID != c.ID {
			t.Fatalf("got %v, want %v", m.Args, c.Args)
		}
		d.control(&device.Result{ID: c.ID})
	}
	for _, c := range waiting {
		r.becomes(c, commands.Succeeded)
	}
}

// A connection that breaks before the answer: the same stream is asked again, another is not.
func TestCommandIsRepeatedAfterABreak(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	d := r.joinCommanded("a", 1)
	c := r.count("a", 1)
	expect[*device.Command](d)
	r.leave(d)
	d = r.joinCommanded("a", 1)
	if m := expect[*device.Command](d); m.ID != c.ID {
		t.Errorf("%+v", m)
	}
	r.leave(d)
	d = r.joinCommanded("a", 2)
	r.becomes(c, commands.Unknown)
	d.data(1)
	d.acked(1) // and no COMMAND before it
}

// A device that answers and leaves has answered.
func TestResultCountsThoughTheConnectionEnds(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	for n := range int64(20) {
		d := r.joinCommanded("a", 1)
		c := r.count("a", n)
		expect[*device.Command](d)
		d.control(&device.Result{ID: c.ID})
		d.write(8, []byte{3, 232})
		d.closed(device.CloseNormal)
		r.becomes(c, commands.Succeeded)
	}
}

// What the hub asks for does not count as talkative, however fast the device is; what it does not ask for does.
func TestOnlyUnsolicitedResultsAreTooMany(t *testing.T) {
	r := newRig(t, rigOptions{limits: Limits{ControlsPerSecond: 1}}, "a")
	d := r.joinCommanded("a", 1)
	r.leave(d)
	var last commands.Command
	for n := range int64(200) {
		last = r.count("a", n)
	}
	d = r.joinCommanded("a", 1)
	for range 200 {
		d.control(&device.Result{ID: expect[*device.Command](d).ID})
	}
	r.becomes(last, commands.Succeeded)
	for n := range 40 {
		_, _ = d.conn.Write(clientFrame(2, device.AppendControl(nil, &device.Result{ID: device.CommandID{1, byte(n)}})))
	}
	d.closed(device.ClosePolicy)
}

// The ACK for a frame does not stand behind a thousand commands.
func TestAcksDoNotWaitForCommands(t *testing.T) {
	r := newRig(t, rigOptions{}, "a")
	r.leave(r.joinCommanded("a", 1))
	const n = 1000
	for i := range int64(n) {
		r.count("a", i)
	}
	d := r.joinCommanded("a", 1)
	commands, before, seq := 0, 0, uint64(1)
	d.data(seq)
	for commands < n {
		_, payload, err := d.read()
		if err != nil {
			t.Fatal(err)
		}
		m, err := device.ParseControl(payload)
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *device.Command:
			if m.Args["n"] != int64(commands) {
				t.Fatalf("%v instead of %d", m.Args, commands)
			}
			commands++
			before++
			d.control(&device.Result{ID: m.ID})
		case *device.Ack:
			seq++
			before = 0
			d.data(seq)
		}
		if before > n/2 {
			t.Fatalf("%d commands before an ACK", before)
		}
	}
	if seq < 3 {
		t.Errorf("%d frames were acknowledged meanwhile", seq-1)
	}
}

func TestDesiredValueIsKept(t *testing.T) {
	r := newRig(t, rigOptions{pace: func(p *pace) { p.housekeeping = 10 * time.Millisecond }}, "a")
	d := r.joinCommanded("a", 1)
	if _, err := r.store.Settings.Set("a", "setpoint", 21.5, "ada", ""); err != nil {
		t.Fatal(err)
	}
	seq := uint64(0)
	report := func(tenths int64) {
		t.Helper()
		seq++
		b, err := device.AppendData(nil, &device.Data{Seq: seq, Times: []int64{time.Now().UnixMicro()}, Columns: []device.Column{
			{ID: 2, Type: device.Int, Bits: []uint64{2134}}, {ID: 3, Type: device.Int, Bits: []uint64{uint64(tenths)}}}}, commandedSchema)
		if err != nil {
			t.Fatal(err)
		}
		d.write(2, b)
	}
	status := func(want settings.Status) {
		t.Helper()
		eventually(t, string(want), func() bool {
			list := r.store.Settings.List("a")
			return len(list) == 1 && list[0].Status == want
		})
	}
	obey := func() {
		t.Helper()
		m := expect[*device.Command](d)
		if m.Name != device.CommandSet || len(m.Args) != 1 || m.Args["setpoint"] != 21.5 {
			t.Fatalf("%+v", m)
		}
		d.control(&device.Result{ID: m.ID})
	}
	report(180)
	obey()
	status(settings.Pending)
	report(215)
	status(settings.InSync)
	report(215)
	report(170) // somebody turns the knob
	obey()
	report(215)
	status(settings.InSync)
	r.leave(d)

	// It comes back with another value.
	d = r.joinCommanded("a", 2)
	seq = 0
	report(160)
	obey()
	report(215)
	status(settings.InSync)
}

// A device is not told to set what it has; what its wrong clock says of when it had it does not matter.
func TestDesiredValueThatTheDeviceHas(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"clock right": 0, "clock a little ahead": 4 * time.Second, "clock a year ahead": 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{}, "a")
			d := r.connect("a")
			hello := helloNow()
			hello.Now += ahead.Microseconds()
			hello.SchemaHash = device.HashSchema(device.AppendControl(nil, commandedSchema))
			d.control(hello)
			expect[*device.Welcome](d)
			d.write(2, device.AppendControl(nil, commandedSchema))
			for seq, tenths := range []uint64{180, 215, 215} {
				b, err := device.AppendData(nil, &device.Data{Seq: uint64(seq + 1), Times: []int64{time.Now().Add(ahead).UnixMicro()},
					Columns: []device.Column{{ID: 3, Type: device.Int, Bits: []uint64{tenths}}}}, commandedSchema)
				if err != nil {
					t.Fatal(err)
				}
				d.write(2, b)
				d.acked(uint64(seq + 1))
			}
			eventually(t, "what was reported is known", func() bool {
				c := &r.hub.sessions.find("a").delivery
				c.mu.Lock()
				defer c.mu.Unlock()
				return !c.running && !c.again
			})
			if s, err := r.store.Settings.Set("a", "setpoint", 21.5, "ada", ""); err != nil || s.Status != settings.InSync {
				t.Errorf("%+v, %v", s, err)
			}
			if s, err := r.store.Settings.Set("a", "setpoint", 22.0, "ada", ""); err != nil || s.Status != settings.Pending {
				t.Errorf("%+v, %v", s, err)
			}
			if m := expect[*device.Command](d); m.Args["setpoint"] != 22.0 {
				t.Errorf("%+v", m)
			}
		})
	}
}

// A desired value that has no effect is to be sent again by itself.
func TestDesiredValueWillBeSentAgain(t *testing.T) {
	r := newRig(t, rigOptions{pace: func(p *pace) { p.housekeeping = 10 * time.Millisecond }}, "a")
	d := r.joinCommanded("a", 1)
	if _, err := r.store.Settings.Set("a", "setpoint", 21.5, "ada", ""); err != nil {
		t.Fatal(err)
	}
	m := expect[*device.Command](d)
	d.control(&device.Result{ID: m.ID, Status: device.ResultFailed, Text: "stuck"})
	eventually(t, "the reason is known", func() bool {
		list := r.store.Settings.List("a")
		return len(list) == 1 && list[0].Reason == "failed: stuck"
	})
	eventually(t, "there is a time for it", func() bool { return r.hub.sessions.find("a").delivery.due.Load() > 0 })
}

// BenchmarkThousandQueuedCommands measures a device that returns to a thousand commands, and answers each at once, while it sends a
// frame every 2 ms: how fast they go, and how long the ACKs take meanwhile and without commands.
func BenchmarkThousandQueuedCommands(b *testing.B) {
	r := newRig(b, rigOptions{}, "a")
	r.leave(r.joinCommanded("a", 1))
	const n = 1000
	var seq uint64
	for range b.N {
		b.StopTimer()
		for i := range int64(n) {
			r.send(commands.New{Device: "a", Name: "count", Args: map[string]any{"n": i}, TTL: time.Hour})
		}
		d := r.joinCommanded("a", 1)
		b.StartTimer()
		began := time.Now()
		with := d.measureAcks(&seq, func(commands int) bool { return commands < n })
		b.ReportMetric(n/time.Since(began).Seconds(), "commands/s")
		b.StopTimer()
		frames := len(with)
		without := d.measureAcks(&seq, func(int) bool { frames--; return frames > 0 })
		for name, list := range map[string][]time.Duration{"ack-with": with, "ack-without": without} {
			slices.Sort(list)
			b.ReportMetric(float64(list[len(list)/2].Microseconds())/1000, name+"-p50-ms")
			b.ReportMetric(float64(list[len(list)*99/100].Microseconds())/1000, name+"-p99-ms")
		}
		r.leave(d)
		b.StartTimer()
	}
}

// BenchmarkCommandRoundTrip measures from the moment a command is given to the hub until its result is on disk, one at a time.
func BenchmarkCommandRoundTrip(b *testing.B) {
	r := newRig(b, rigOptions{}, "a")
	d := r.joinCommanded("a", 1)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		for range b.N {
			d.control(&device.Result{ID: expect[*device.Command](d).ID})
		}
	}()
	var took []time.Duration
	for i := range int64(b.N) {
		began := time.Now()
		c := r.count("a", i)
		if c, err := r.store.Commands.Await(b.Context(), c.ID); err != nil || c.State != commands.Succeeded {
			b.Fatal(c.State, err)
		}
		took = append(took, time.Since(began))
	}
	<-answered
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// measureAcks sends frames and answers commands while more wants it, and returns how long each ACK took.
func (d *testDevice) measureAcks(seq *uint64, more func(commands int) bool) (took []time.Duration) {
	d.t.Helper()
	sent := map[uint64]time.Time{}
	commands, next := 0, time.Now()
	for more(commands) || len(sent) > 0 {
		if more(commands) && !time.Now().Before(next) {
			*seq++
			sent[*seq] = time.Now()
			d.data(*seq)
			next = next.Add(2 * time.Millisecond)
		}
		if d.br.Buffered() == 0 {
			_ = d.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := d.br.Peek(1); err != nil {
				continue
			}
		}
		_, payload, err := d.read()
		if err != nil {
			d.t.Fatal(err)
		}
		m, err := device.ParseControl(payload)
		if err != nil {
			d.t.Fatal(err)
		}
		switch m := m.(type) {
		case *device.Command:
			commands++
			d.control(&device.Result{ID: m.ID})
		case *device.Ack:
			for _, r := range m.Ranges {
				for s := r.First; s <= r.Last; s++ {
					if at, ok := sent[s]; ok {
						took = append(took, time.Since(at))
						delete(sent, s)
					}
				}
			}
		}
	}
	return took
}

// While hub.db can't be written, a device goes on reporting. What waits to be recorded is bounded, and the newest is there.
func TestReportsThatWaitAreBounded(t *testing.T) {
	s := idleSession(t)
	schema := &device.Schema{}
	for i := range uint16(device.MaxChannels) {
		schema.Channels = append(schema.Channels, device.Channel{ID: i + 1, Name: fmt.Sprint("c", i+1), Type: device.Int, Writable: true})
	}
	s.schema, s.settings = schema, settingsOf(schema)
	s.delivery.ready, s.delivery.running = true, true // it is busy trying
	const last = 3 * maxReports
	for n := range int64(last + 1) {
		d := &device.Data{Times: []int64{n + 1}, Columns: []device.Column{
			{ID: 1 + uint16(n%(device.MaxChannels-1)), Type: device.Int, Bits: []uint64{uint64(n)}},
			{ID: device.MaxChannels, Type: device.Int, Bits: []uint64{uint64(n)}},
		}}
		s.reported(d, 0, time.Now().UnixMicro())
	}
	newest := map[string]uint64{}
	for _, r := range s.delivery.reports {
		newest[r.Channel] = r.Value.Bits
	}
	if len(s.delivery.reports) > maxReports || len(newest) != device.MaxChannels || newest[fmt.Sprint("c", device.MaxChannels)] != last {
		t.Errorf("%d reports of %d channels wait, the last one of %d", len(s.delivery.reports), len(newest), newest[fmt.Sprint("c", device.MaxChannels)])
	}
}
