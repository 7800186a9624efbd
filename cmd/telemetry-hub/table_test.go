package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/telemetry-hub/telemetry-hub/hub/control"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/export"
)

// hostile is what a name, a text or an address may be: it clears the screen, begins a line and a cell, and turns what follows.
const hostile = "\x1b[2J\u009b2J\rA\nB\tC\u202e\u2066\xff"

// obeyed says whether a terminal would do more than show a character.
func obeyed(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }

// TestTables has every table print hostile texts wherever it prints texts of others.
func TestTables(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, print := range map[string]func(io.Writer) error{
		"status": func(w io.Writer) error {
			s := &control.Status{}
			s.Storage.Error, s.Storage.State = hostile, hostile
			s.Alarms = []store.Alarm{{Text: hostile}}
			s.Export = &export.Status{URL: hostile, Bucket: hostile, State: hostile, Reason: hostile, Sample: hostile}
			return printStatus(w, s, now)
		},
		"device show": func(w io.Writer) error {
			d := &control.Device{}
			d.Address, d.Model, d.Firmware, d.Labels = hostile, hostile, hostile, map[string]string{"site": hostile}
			d.Schema = &control.Schema{Channels: []control.Channel{{Name: hostile, Unit: hostile, Type: hostile}}, Commands: []string{hostile}}
			return printDevice(w, d, now)
		},
		"dead-letters": func(w io.Writer) error {
			row, flush := deadLetterTable(w)
			return errors.Join(row(&store.DeadLetter{Text: hostile, Device: hostile}), row(&store.DeadLetter{Text: hostile, Lines: 1}), flush())
		},
		"command list": func(w io.Writer) error {
			return printCommands(w, []store.Command{{Name: hostile, By: hostile, Text: hostile, Args: map[string]any{hostile: hostile}}}, now)
		},
		"command send": func(w io.Writer) error {
			return printOutcomes(w, []outcome{{Device: hostile, Error: hostile}, {Command: &store.Command{Text: hostile}}})
		},
		"command send --wait": func(w io.Writer) error {
			return printOutcome(w, &store.Command{Text: hostile, Values: map[string]any{hostile: hostile}})
		},
		"setting list": func(w io.Writer) error {
			return printSettings(w, []store.Setting{{Channel: hostile, Desired: hostile, Reported: hostile, By: hostile, Reason: hostile}}, now)
		},
		"audit": func(w io.Writer) error {
			return printAudit(w, []store.AuditEntry{{By: hostile, From: hostile, Device: hostile, Text: hostile}})
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

// TestOneTable holds all commands to the table that is safe.
func TestOneTable(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(source, []byte("tabwriter.NewWriter")) && name != "table.go" && name != "table_test.go" {
			t.Errorf("%s has a table of its own", name)
		}
	}
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
