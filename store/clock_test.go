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
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock/clocktest"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// setStore is a store whose machine's clock is set, with one device that takes commands.
type setStore struct {
	*Store
	t       *testing.T
	machine *clocktest.Machine
	dir     string
	stop    func()
}

func newSetStore(t *testing.T) *setStore {
	return &setStore{t: t, machine: clocktest.NewMachine(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)), dir: t.TempDir()}
}

func (s *setStore) start() {
	s.t.Helper()
	s.Store = openCommanded(s.t, Options{Dir: s.dir, Clock: s.machine.Clock()}, "a")
	s.stop = storetest.Run(s.t, s.Store)
}

// eachSetting calls f for every way in which a clock is set: while the hub runs, or not.
func eachSetting(t *testing.T, f func(t *testing.T, set func(s *setStore))) {
	for name, by := range map[string]time.Duration{"forward": 10 * year, "back": -10 * year} {
		t.Run(name+", running", func(t *testing.T) {
			f(t, func(s *setStore) {
				s.machine.Set(by)
				s.now()
				s.moveTimes()
			})
		})
		t.Run(name+", stopped", func(t *testing.T) {
			f(t, func(s *setStore) {
				s.stop()
				s.machine.Set(by)
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
		s.machine.Pass(20 * time.Second)
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
		s.machine.Pass(39 * time.Second)
		if expire(); state() != commands.Sent {
			t.Errorf("%s before its time was over", state())
		}
		s.machine.Pass(time.Minute)
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
	s.machine.Reboot(-56 * year)
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
		s.machine.Pass(23 * time.Hour)
		set(s)
		works("after 23 hours", true)
		s.machine.Pass(2 * time.Hour)
		if _, err := s.Devices.Authenticate(creds[0].Token); err == nil {
			t.Error("the old token lasts longer than a day")
		}
		s.machine.Pass(7 * day)
		works("after a week", false)
	})
}

// TestLastReceivedSurvivesTheClock: a device was last heard of as long ago as it was, whatever the clock shows, and never in the future.
func TestLastReceivedSurvivesTheClock(t *testing.T) {
	eachSetting(t, func(t *testing.T, set func(*setStore)) {
		s := newSetStore(t)
		s.start()
		defer func() { s.stop() }()
		heard := func(when string, ago time.Duration) {
			t.Helper()
			if b := s.Ledger.Books("a"); s.now().Sub(b.LastReceived) != ago {
				t.Errorf("%s: last heard of %v, at %v; want %v ago", when, b.LastReceived, s.now(), ago)
			}
		}
		newWriter(t, s.Store, 1).Send(1)
		settle(t, s.Store)
		s.machine.Pass(time.Minute)
		heard("before", time.Minute)
		set(s)
		eventually(t, "the books follow the clock", func() bool { return s.Ledger.Books("a").Base == s.clock.Base() })
		heard("set", time.Minute)
		s.stop()
		s.machine.Reboot(-10 * year) // it starts with a wrong clock
		s.start()
		eventually(t, "the books follow the clock", func() bool { return s.Ledger.Books("a").Base == s.clock.Base() })
		heard("after a boot in the past", 0)
	})
}

// TestClockSetIsAnAlarm: it says how far, for an hour; what lasts, lasts as long as it has.
func TestClockSetIsAnAlarm(t *testing.T) {
	m := clocktest.NewMachine(time.Unix(1000, 0))
	s := open(t, Options{Clock: m.Clock()})
	defer storetest.Run(t, s)()
	noticed := make(chan struct{}, 8)
	defer s.WatchClock(func() { noticed <- struct{}{} })()
	s.Alarms.Set("a test", "something is wrong")
	s.checkFloor(s.now())
	if !slices.ContainsFunc(s.Alarms.All(), func(a alarms.Alarm) bool { return a.Key == "clock" && strings.Contains(a.Text, "(1970)") }) {
		t.Errorf("in 1970: alarms %+v", s.Alarms.All())
	}
	m.Pass(time.Minute)
	m.Set(20454 * day)
	s.now()
	<-noticed
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
