package firmwaresim

import (
	"strings"
	"testing"
	"time"
)

// A short verification of commands against the real program, with kills of hub and devices.
func TestVerifyCommands(t *testing.T) {
	report, err := VerifyCommands(t.Context(), VerifyOptions{
		HubBinary: hubBinary(t), Devices: 4, Duration: 8 * time.Second, KillEvery: 2 * time.Second, Seed: 5,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	if !report.Agrees() {
		t.Error("hub and devices do not agree")
	}
	if report.HubKills == 0 || report.DeviceKills == 0 || report.States["succeeded"] == 0 || report.Executions == 0 {
		t.Error("nothing was killed: the verification shows nothing")
	}
}

// Every kind of contradiction is found.
func TestContradictions(t *testing.T) {
	at := func(n int) []time.Time { return make([]time.Time, n) }
	for _, c := range []struct {
		command hubCommand
		notes   execution
		want    string // "" for none
	}{
		{hubCommand{State: "succeeded"}, execution{begun: at(1), ended: []string{"0"}}, ""},
		{hubCommand{State: "succeeded"}, execution{}, "not noted"},
		{hubCommand{State: "succeeded", Name: "set"}, execution{}, ""},
		{hubCommand{State: "succeeded"}, execution{begun: at(2), ended: []string{"0", "0"}}, "begun 2 times"},
		{hubCommand{State: "succeeded", Idempotent: true}, execution{begun: at(2), ended: []string{"0", "0"}}, ""},
		{hubCommand{State: "succeeded"}, execution{begun: at(1), ended: []string{"0"}, late: time.Minute}, "after its deadline"},
		{hubCommand{State: "failed"}, execution{begun: at(1), ended: []string{"1"}}, ""},
		{hubCommand{State: "failed"}, execution{begun: at(1), ended: []string{"0"}}, "not noted"},
		{hubCommand{State: "failed"}, execution{}, "never begun"},
		{hubCommand{State: "failed", Text: restarted}, execution{}, ""},
		{hubCommand{State: "expired"}, execution{begun: at(1)}, "begun all the same"},
		{hubCommand{State: "expired", Idempotent: true}, execution{begun: at(1)}, ""},
		{hubCommand{State: "rejected"}, execution{begun: at(1)}, "begun all the same"},
		{hubCommand{State: "cancelled"}, execution{begun: at(1)}, "begun all the same"},
		{hubCommand{State: "unknown"}, execution{begun: at(1)}, ""},
		{hubCommand{State: "unknown", Changed: time.Unix(100, 0), Deadline: time.Unix(10, 0)}, execution{}, "after its deadline"},
		{hubCommand{State: "sent"}, execution{}, "not settled"},
	} {
		found := strings.Join(c.command.contradictions(&c.notes), "; ")
		if !strings.Contains(found, c.want) || c.want == "" && found != "" {
			t.Errorf("%+v, %+v: %q, want %q", c.command, c.notes, found, c.want)
		}
	}
}

func TestSteps(t *testing.T) {
	for steps, good := range map[string]bool{
		"queued": false, "queued,sent,succeeded": true, "queued,sent,unknown,failed": true, "queued,expired": true,
		"queued,sent,sent,succeeded": false, "sent,succeeded": false, "queued,sent,succeeded,failed": false, "queued,cancelled": true,
		"queued,sent,cancelled": false, "queued,sent,unknown": true, "": false,
	} {
		var list []string
		last := ""
		for step := range strings.SplitSeq(steps, ",") {
			if step != "" {
				list, last = append(list, "command "+step), step
			}
		}
		state := last
		if steps == "queued" {
			state = "succeeded"
		}
		if got := wrongSteps(list, state) == ""; got != good {
			t.Errorf("%q: %v", steps, got)
		}
	}
}

func TestNotesOfADevice(t *testing.T) {
	e, err := parseExecutions("begin a 2000000000 1500000\nend a 1\nbegin b 1000000000 1500000\nbeg")
	if err != nil || len(e) != 2 || len(e["a"].begun) != 1 || e["a"].ended[0] != "1" || e["a"].late != 500*time.Millisecond || len(e["b"].ended) != 0 {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := parseExecutions("nonsense\n"); err == nil {
		t.Error("nonsense was taken")
	}
}

// FuzzNotes: a killed device may leave anything behind.
func FuzzNotes(f *testing.F) {
	f.Add("begin a 1 2\nend a 0\n")
	f.Add("begin a 1\n\n")
	f.Fuzz(func(_ *testing.T, notes string) { _, _ = parseExecutions(notes) })
}
