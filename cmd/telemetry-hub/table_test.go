package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api"
	"github.com/telemetry-hub/telemetry-hub/dashboard/render"
	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

// hostile is what a name, a text or an address may be: it clears the screen, begins a line and a cell, and turns what follows.
const hostile = "\x1b[2J\u009b2J\rA\nB\tC\u202e\u2066\xff"

// obeyed says whether a terminal would do more than show a character.
func obeyed(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }

// TestTables has every table print hostile texts wherever it prints texts of others.
func TestTables(t *testing.T) {
	for name, print := range map[string]func(io.Writer) error{
		"status": func(w io.Writer) error {
			s := &api.Status{}
			s.Storage.Error, s.Storage.State = hostile, hostile
			s.Alarms = []api.Alarm{{Text: hostile}}
			s.Export = &api.ExportStatus{URL: hostile, Bucket: hostile, State: hostile, Reason: hostile, Sample: hostile}
			return table(w, func(t *render.Table) { fillStatus(t, s) })
		},
		"device show": func(w io.Writer) error {
			d := &api.Device{}
			d.Presence.Address, d.Device.Model, d.Device.Firmware, d.Labels = hostile, hostile, hostile, map[string]string{"site": hostile}
			d.Schema = &live.Schema{Channels: []live.Channel{{Name: hostile, Unit: hostile, Type: hostile}}, Commands: []live.Command{{Name: hostile}}}
			return table(w, func(t *render.Table) { fillDevice(t, d) })
		},
		"dead-letters": func(w io.Writer) error {
			return render.List(w, render.FormatTable, []api.DeadLetter{{Text: hostile, Device: hostile}, {Text: hostile, Lines: 1}}, letterColumns, "")
		},
		"command list": func(w io.Writer) error {
			return render.List(w, render.FormatTable, []live.CommandStatus{{Name: hostile, By: hostile, Text: hostile, Args: map[string]any{hostile: hostile}}},
				commandColumns, "")
		},
		"command send": func(w io.Writer) error {
			return render.List(w, render.FormatTable, []api.Outcome{{Device: hostile, Error: hostile}, {Command: &live.CommandStatus{Text: hostile}}}, outcomeColumns, "")
		},
		"command send --wait": func(w io.Writer) error {
			return printOutcome(w, &live.CommandStatus{Text: hostile, Values: map[string]any{hostile: hostile}})
		},
		"command show": func(w io.Writer) error {
			return inFields(fillCommand)(w, render.FormatTable, live.CommandStatus{Text: "a", Name: hostile, By: hostile, Values: map[string]any{hostile: hostile}})
		},
		"setting list": func(w io.Writer) error {
			return render.List(w, render.FormatTable,
				[]live.SettingStatus{{Channel: hostile, Desired: hostile, Reported: hostile, By: hostile, Reason: hostile}}, settingColumns, "")
		},
		"audit": func(w io.Writer) error {
			return render.List(w, render.FormatTable, []api.AuditEntry{{By: hostile, From: hostile, Device: hostile, Text: hostile}}, auditColumns, "")
		},
		"an error": func(w io.Writer) error { printError(w, withHint(errors.New(hostile), "%s", hostile)); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := print(&out); err != nil {
				t.Fatal(err)
			}
			if i := strings.IndexFunc(out.String(), obeyed); i >= 0 || !strings.Contains(out.String(), `\x1b[2J`) {
				t.Errorf("byte %d of %q", i, out.String())
			}
		})
	}
}

func table(w io.Writer, fill func(*render.Table)) error {
	return render.Record(w, render.FormatTable, nil, fill)
}

// TestTerminal runs the program with a terminal for its output, and with a pipe, which gets everything as it is.
func TestTerminal(t *testing.T) {
	terminal, screen := openTerminal(t)
	var shown bytes.Buffer
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.Copy(&shown, terminal) }() // ends with an error when the other side is closed
	if code := run(context.Background(), []string{"command", "send", "a", hostile}, screen, screen); code == 0 {
		t.Error("no error")
	}
	screen.Close()
	<-done
	text := strings.ReplaceAll(shown.String(), "\r\n", "\n") // a terminal's line discipline
	if i := strings.IndexFunc(text, obeyed); i >= 0 || text == "" {
		t.Errorf("byte %d of %q", i, text)
	}
}
