package tail

import (
	"slices"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/device"
)

func TestSources(t *testing.T) {
	var ss Sources
	define := func(id string, segment uint64, wantUndefined bool) *Source {
		t.Helper()
		s, undefined := ss.Define(Source{Device: id, Stream: 1, Hash: device.HashSchema(testMessage), Message: testMessage, Schema: testSchema}, segment)
		if undefined != wantUndefined {
			t.Errorf("%s in segment %d: undefined %v", id, segment, undefined)
		}
		return s
	}
	a := define("a", 1, true)
	if again := define("a", 1, false); again != a {
		t.Error("another source")
	}
	b := define("b", 1, true)
	if a.Number == b.Number || ss.Get(b.Number) != b {
		t.Errorf("numbers %d and %d", a.Number, b.Number)
	}
	if c := ss.TakeChange(); len(c.Add) != 0 || len(ss.OnDisk()) != 0 {
		t.Errorf("%+v before they are on disk", c)
	}
	ss.Written([]*Source{a, b}, 1, 10)
	c := ss.TakeChange()
	if len(c.Add) != 2 || !slices.Equal(c.Positions, []uint64{10, 10}) || len(ss.OnDisk()) != 2 {
		t.Errorf("%+v", c)
	}
	ss.Returned(&c) // could not be written: they come again
	if c = ss.TakeChange(); len(c.Add) != 2 {
		t.Errorf("%+v", c)
	}
	ss.Saved(&c)
	if define("a", 2, true) != a {
		t.Error("another source in the next segment")
	}
	ss.Prune(100) // a is in a batch that is not on disk yet
	if ss.Get(a.Number) != a || ss.Get(b.Number) != nil || ss.Len() != 1 {
		t.Errorf("%d sources are left", ss.Len())
	}
	c = ss.TakeChange()
	if len(c.Add) != 0 || !slices.Equal(c.Remove, []uint64{b.Number}) {
		t.Errorf("%+v", c)
	}
	ss.Returned(&c)
	if again := define("b", 2, true); again.Number <= b.Number {
		t.Errorf("the number %d is given again", again.Number)
	}
	if c = ss.TakeChange(); !slices.Equal(c.Remove, []uint64{b.Number}) {
		t.Errorf("%+v", c)
	}
}

// What is saved after it was forgotten has to leave hub.db again.
func TestSourcesForgottenWhileSaved(t *testing.T) {
	var ss Sources
	s, _ := ss.Define(Source{Device: "a", Message: testMessage, Schema: testSchema}, 1)
	ss.Written([]*Source{s}, 1, 1)
	c := ss.TakeChange()
	ss.Prune(2)
	ss.Saved(&c)
	if c = ss.TakeChange(); !slices.Equal(c.Remove, []uint64{s.Number}) {
		t.Errorf("%+v", c)
	}
}

// hub.db has to know the newest definition on disk, or a start would forget the source with the segment of an older one.
func TestNewestDefinitionIsRecorded(t *testing.T) {
	var ss Sources
	like := Source{Device: "a", Message: testMessage, Schema: testSchema}
	s, _ := ss.Define(like, 1)
	ss.Written([]*Source{s}, 1, 10)
	c := ss.TakeChange()
	ss.Saved(&c)
	if c = ss.TakeChange(); len(c.Add) != 0 {
		t.Errorf("%+v", c)
	}
	ss.Define(like, 2)
	if c = ss.TakeChange(); len(c.Add) != 0 || len(ss.OnDisk()) != 1 { // the old definition is still there
		t.Errorf("%+v; %d on disk", c, len(ss.OnDisk()))
	}
	ss.Written([]*Source{s}, 2, 20)
	c = ss.TakeChange()
	ss.Written([]*Source{s}, 0, 30) // meanwhile, after a failed write
	ss.Saved(&c)
	if !slices.Equal(c.Positions, []uint64{20}) {
		t.Errorf("%+v", c)
	}
	if c = ss.TakeChange(); !slices.Equal(c.Positions, []uint64{30}) {
		t.Errorf("%+v", c)
	}
	if ss.Prune(30); ss.Len() != 1 {
		t.Error("it is forgotten, and on disk")
	}
	if ss.Prune(31); ss.Len() != 0 {
		t.Error("it is not forgotten, and not on disk")
	}
}
