package store

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
)

// setStore is a store whose machine's clock is set, with one device that takes commands.
type setStore struct {
	*Store
	t       *testing.T
	machine *machine
	dir     string
	stop    func()
}

func newSetStore(t *testing.T) *setStore {
	return &setStore{t: t, machine: newMachine(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), dir: t.TempDir()}
}

func (s *setStore) start() {
	s.t.Helper()
	s.Store = openCommanded(s.t, Options{Dir: s.dir, Clock: s.machine.clock()}, "a")
	s.stop = run(s.t, s.Store)
}

// eachSetting calls f for every way in which a clock is set: while the hub runs, or not.
func eachSetting(t *testing.T, f func(t *testing.T, set func(s *setStore))) {
	for name, by := range map[string]time.Duration{"forward": 10 * year, "back": -10 * year} {
		t.Run(name+", running", func(t *testing.T) {
			f(t, func(s *setStore) {
				s.machine.set(by)
				s.now()
				s.moveTimes()
			})
		})
		t.Run(name+", stopped", func(t *testing.T) {
			f(t, func(s *setStore) {
				s.stop()
				s.machine.set(by)
				s.start()
			})
		})
	}
}

// TestCommandsSurviveTheClock: a command has the time that is left to it, whatever the clock shows, and the device is told the deadline
// by the clock that WELCOME showed it.
func TestCommandsSurviveTheClock(t *testing.T) {
	eachSetting(t, func(t *testing.T, set func(*setStore)) {
		s := newSetStore(t)
		s.start()
		defer func() { s.stop() }()
		queued, err := s.Commands.Send(commands.New{Device: "a", Name: "blink", TTL: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		welcome := s.clock.Base()
		s.machine.pass(20 * time.Second)
		set(s)
		send, _, err := s.Commands.Delivery("a", 1).Exchange(nil)
		if err != nil || len(send) != 1 || send[0].ID != queued.ID {
			t.Fatalf("sent %+v, %v", send, err)
		}
		m := s.Commands.Message(&send[0], welcome)
		if m.TTL != 40_000 || m.Deadline != queued.Deadline.UnixMicro() {
			t.Errorf("ttl %d, deadline %v, want %v", m.TTL, time.UnixMicro(m.Deadline).UTC(), queued.Deadline)
		}
		if m := s.Commands.Message(&send[0], s.clock.Base()); m.TTL != 40_000 || m.Deadline-s.now().UnixMicro() != 40_000_000 {
			t.Errorf("to a device that connects now: ttl %d, deadline %v", m.TTL, time.UnixMicro(m.Deadline).UTC())
		}
		state := func() commands.State {
			t.Helper()
			c, err := s.Commands.Get(queued.ID)
			if err != nil {
				t.Fatal(err)
			}
			return c.State
		}
		expire := func() {
			t.Helper()
			if _, err := s.Commands.Expire(); err != nil {
				t.Fatal(err)
			}
		}
		s.machine.pass(39 * time.Second)
		if expire(); state() != commands.Sent {
			t.Errorf("%s before its time was over", state())
		}
		s.machine.pass(time.Minute)
		if expire(); state() != commands.Unknown {
			t.Errorf("%s after its time", state())
		}
	})
}

// TestCommandAfterABootInThePast: nobody knows how long the machine was off, so what was to be done within a minute is not done.
func TestCommandAfterABootInThePast(t *testing.T) {
	s := newSetStore(t)
	s.start()
	c, err := s.Commands.Send(commands.New{Device: "a", Name: "blink", TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	s.stop()
	s.machine.reboot(-56 * year)
	s.start()
	defer func() { s.stop() }()
	if c, err = s.Commands.Await(t.Context(), c.ID); err != nil || c.State != commands.Expired {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestSecretsSurviveTheClock: sessions and the tokens that are being replaced last as long as they would have.
func TestSecretsSurviveTheClock(t *testing.T) {
	eachSetting(t, func(t *testing.T, set func(*setStore)) {
		s := newSetStore(t)
		s.start()
		defer func() { s.stop() }()
		if err := s.Accounts.AddUser("ada", "correct horse battery", accounts.RoleViewer); err != nil {
			t.Fatal(err)
		}
		session, _, err := s.Accounts.OpenSession("ada")
		if err != nil {
			t.Fatal(err)
		}
		creds, err := s.Devices.Add([]devices.NewDevice{{ID: "b", Kind: "x"}})
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := s.Devices.Rotate("b")
		if err != nil {
			t.Fatal(err)
		}
		works := func(when string, want bool) {
			t.Helper()
			if _, err := s.Accounts.Identify(session); (err == nil) != want {
				t.Errorf("%s: session: %v", when, err)
			}
			if _, err := s.Devices.Authenticate(creds[0].Token); (err == nil) != want {
				t.Errorf("%s: old token: %v", when, err)
			}
			if _, err := s.Devices.Authenticate(fresh); err != nil {
				t.Errorf("%s: new token: %v", when, err)
			}
		}
		works("before", true)
		settle(t, s.Store) // the first use of the new token
		s.machine.pass(23 * time.Hour)
		set(s)
		works("after 23 hours", true)
		s.machine.pass(2 * time.Hour)
		if _, err := s.Devices.Authenticate(creds[0].Token); err == nil {
			t.Error("the old token lasts longer than a day")
		}
		s.machine.pass(7 * day)
		works("after a week", false)
	})
}

// TestBootsSurviveTheClock: what is known of a device's boot goes on to hold by the new clock, also after the hub was killed.
func TestBootsSurviveTheClock(t *testing.T) {
	m := newMachine(time.Unix(1000, 0))
	o := Options{Dir: t.TempDir(), Clock: m.clock()}
	s := open(t, o)
	c := acknowledged(t, s)
	in := s.Ingest("a", 1, func() {})
	now := func() int64 { return s.now().UnixMicro() }
	measure := func(boot uint64, uptime int64) {
		t.Helper()
		if err := in.Boot(t.Context(), boot, now()-uptime, s.Clock().Base()); err != nil {
			t.Fatal(err)
		}
		if err := c.commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// A device's uptime counts on with the machine's.
	converts := func(when string, boot uint64, uptime int64) {
		t.Helper()
		want := now()
		if offset, ok := in.Offset(boot); !ok || offset+uptime != want {
			t.Errorf("%s: boot %d: %v, want %v", when, boot, time.UnixMicro(offset+uptime).UTC(), time.UnixMicro(want).UTC())
		}
	}
	restart := func(meanwhile func()) {
		t.Helper()
		if err := s.Close(); err != nil { // without a checkpoint, as when it is killed
			t.Fatal(err)
		}
		meanwhile()
		o.Clock = m.clock()
		s = open(t, o)
		c, in = acknowledged(t, s), s.Ingest("a", 1, func() {})
		if err := c.commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	measure(1, 5_000_000)
	converts("at once", 1, 5_000_000)
	m.set(56 * year)
	converts("at once after it was set", 1, 5_000_000)
	m.pass(time.Minute)
	measure(2, 7_000_000)                             // opens a batch
	offset, base := now()-9_000_000, s.Clock().Base() // of a device whose HELLO waits for a slow disk meanwhile
	converts("a minute later", 1, 65_000_000)
	m.set(-10 * year)
	now() // notices
	if err := in.Boot(t.Context(), 3, offset, base); err != nil {
		t.Fatal(err)
	}
	converts("set while it was handed in", 3, 9_000_000)
	converts("ten years back", 2, 7_000_000)
	converts("ten years back", 1, 65_000_000)
	restart(func() { m.set(10 * year) })
	converts("set while the hub was killed", 2, 7_000_000)
	converts("set while the hub was killed", 1, 65_000_000)
	restart(func() { m.set(year); m.set(-year) })
	converts("killed once more", 1, 65_000_000)
	before, _ := in.Offset(1)
	restart(func() { m.reboot(-56 * year) })
	measure(3, 1_000_000)
	m.set(56*year + time.Hour)
	measure(4, 2_000_000)
	converts("of this boot of the machine", 3, 1_000_000)
	if after, _ := in.Offset(1); after != before {
		t.Errorf("the offset of an earlier boot of the machine changed by %d", after-before)
	}
	if err := c.commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	restart(func() {})
	converts("of this boot of the machine, killed", 3, 1_000_000)
	if after, _ := in.Offset(1); after != before {
		t.Errorf("killed: the offset of an earlier boot of the machine changed by %d", after-before)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLastReceivedSurvivesTheClock: a device was last heard of as long ago as it was, whatever the clock shows, and never in the future.
func TestLastReceivedSurvivesTheClock(t *testing.T) {
	eachSetting(t, func(t *testing.T, set func(*setStore)) {
		s := newSetStore(t)
		s.start()
		defer func() { s.stop() }()
		heard := func(when string, ago time.Duration) {
			t.Helper()
			if b := s.Books("a"); s.now().Sub(b.LastReceived) != ago {
				t.Errorf("%s: last heard of %v, at %v; want %v ago", when, b.LastReceived, s.now(), ago)
			}
		}
		newWriter(t, s.Store, 1).send(1)
		settle(t, s.Store)
		s.machine.pass(time.Minute)
		heard("before", time.Minute)
		set(s)
		eventually(t, "the books follow the clock", func() bool { return s.Books("a").Base == s.clock.Base() })
		heard("set", time.Minute)
		s.stop()
		s.machine.reboot(-10 * year) // it starts with a wrong clock
		s.start()
		eventually(t, "the books follow the clock", func() bool { return s.Books("a").Base == s.clock.Base() })
		heard("after a boot in the past", 0)
	})
}

// TestClockSetIsAnAlarm: it says how far, for an hour; what lasts, lasts as long as it has.
func TestClockSetIsAnAlarm(t *testing.T) {
	m := newMachine(time.Unix(1000, 0))
	s := open(t, Options{Clock: m.clock()})
	defer run(t, s)()
	told := make(chan struct{}, 1)
	defer s.WatchClock(func() { signal(told) })()
	s.Alarms.Set("a test", "something is wrong")
	s.checkFloor(s.now())
	if !slices.ContainsFunc(s.Alarms.All(), func(a alarms.Alarm) bool { return a.Key == "clock" && strings.Contains(a.Text, "(1970)") }) {
		t.Errorf("in 1970: alarms %+v", s.Alarms.All())
	}
	m.pass(time.Minute)
	m.set(20454 * day)
	s.now()
	<-told
	s.checkFloor(s.now())
	active := map[string]alarms.Alarm{}
	for _, a := range s.Alarms.All() {
		active[a.Key] = a
	}
	if a := active["a test"]; s.now().Sub(a.Since) != time.Minute {
		t.Errorf("%+v is a minute old at %v", a, s.now())
	}
	if a, is := active["clock"]; is {
		t.Errorf("with a clock that may be right: %+v", a)
	}
	if a := active["clock set"]; !strings.HasPrefix(a.Text, "the hub's clock was set forward by 20454 days, from 1970-01-01 00:17:40 UTC to 2026-") {
		t.Errorf("%q", a.Text)
	}
}
