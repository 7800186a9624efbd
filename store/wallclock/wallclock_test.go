package wallclock

import (
	"testing"
	"time"
)

// fake is a machine whose clock is set.
type fake struct {
	wall            time.Time
	elapsed, asleep time.Duration
}

func (f *fake) clock() *Clock {
	return New(Source{
		Wall: func() time.Time { return f.wall }, Elapsed: func() time.Duration { return f.elapsed },
		Asleep: func() time.Duration { return f.asleep }, Machine: 1,
	})
}

func (f *fake) pass(d time.Duration) { f.wall, f.elapsed = f.wall.Add(d), f.elapsed+d }

func (f *fake) set(by time.Duration) { f.wall = f.wall.Add(by) }

func noticed(c *Clock) bool {
	select {
	case <-c.Noticed():
		return true
	default:
		return false
	}
}

func TestClock(t *testing.T) {
	const years = 10 * 365 * 24 * time.Hour
	f := &fake{wall: time.Unix(0, 0), elapsed: time.Minute}
	c := f.clock()
	v := c.View()
	f.pass(24 * time.Hour)
	f.set(tolerance / 2) // two clocks are not read at the same moment
	if now := c.Now(); noticed(c) || !now.Equal(f.wall) || v.Behind() != 0 {
		t.Errorf("%v, though nobody has set the clock", now)
	}
	moment := v.Now()
	for _, by := range []time.Duration{5 * years, -years, years, -time.Second, time.Second} {
		f.set(by)
		f.pass(time.Second)
		if now := c.Now(); !noticed(c) || !now.Equal(f.wall) {
			t.Errorf("set by %v: not noticed", by)
		}
		if age := v.Now().Sub(moment); age != time.Second {
			t.Errorf("set by %v: what was a second ago was %v ago", by, age)
		}
		if behind := v.Behind(); (behind - by).Abs() > tolerance {
			t.Errorf("set by %v: behind by %v", by, behind)
		}
		moment = moment.Add(v.Follow(c.Base()))
		if now := time.UnixMicro(c.Base() + c.Elapsed()); now.Sub(f.wall).Abs() > time.Microsecond || v.Now().Sub(f.wall).Abs() > time.Microsecond {
			t.Errorf("set by %v: the clock is %v, the view %v, the wall clock %v", by, now, v.Now(), f.wall)
		}
		if age := v.Now().Sub(moment); (age - time.Second).Abs() > time.Microsecond {
			t.Errorf("set by %v: moved along, what was a second ago was %v ago", by, age)
		}
		moment = v.Now()
		c.Now()
		if noticed(c) {
			t.Errorf("set by %v: noticed twice", by)
		}
	}
}

// TestSleep has the machine sleep for a night: the wall clock has not been set.
func TestSleep(t *testing.T) {
	f := &fake{wall: time.Unix(1e9, 0)}
	c := f.clock()
	v := c.View()
	evening := v.Now()
	f.wall, f.asleep = f.wall.Add(8*time.Hour), 8*time.Hour
	if now := c.Now(); noticed(c) || !now.Equal(f.wall) || v.Behind() != 0 || v.Now().Sub(evening) != 8*time.Hour {
		t.Errorf("%v, the view says %v, in the morning after %v", now, v.Now(), evening)
	}
}

// TestSteady is what tests give that only say what time it is: a day passes when they say so.
func TestSteady(t *testing.T) {
	now := time.Unix(1e9, 0)
	c := Steady(func() time.Time { return now })
	v := c.View()
	now = now.Add(24 * time.Hour)
	if got := c.Now(); !got.Equal(now) || noticed(c) || !v.Now().Equal(now) || v.Behind() != 0 || c.Base()+c.Elapsed() != now.UnixMicro() {
		t.Errorf("%v, the view %v, after a day", got, v.Now())
	}
}

func TestSystem(t *testing.T) {
	c := System()
	if d := time.Since(c.View().Now()).Abs(); d > time.Minute {
		t.Errorf("the system's clock is off by %v", d)
	}
	if c.Now(); noticed(c) || c.Machine() != System().Machine() {
		t.Errorf("machine %d and %d", c.Machine(), System().Machine())
	}
}
