package main

import (
	"bytes"
	"io"
	"log/slog"

	"github.com/coreos/go-systemd/v22/journal"
)

// newLogger logs to w as text. Under systemd, lines carry a priority instead of a time: the journal adds its own time, and
// `journalctl -p warning` works.
func newLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if toJournal, err := journal.StderrIsJournalStream(); err == nil && toJournal {
		w, options.ReplaceAttr = &priorityWriter{w: w}, withoutTime
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// priorityWriter puts the priority of sd-daemon(3) before each line. A text handler writes one line at a time, with the
// level at its head.
type priorityWriter struct {
	w    io.Writer
	line []byte
}

func (p *priorityWriter) Write(line []byte) (int, error) {
	priority := "<6>"
	switch {
	case bytes.HasPrefix(line, []byte("level=ERROR")):
		priority = "<3>"
	case bytes.HasPrefix(line, []byte("level=WARN")):
		priority = "<4>"
	case bytes.HasPrefix(line, []byte("level=DEBUG")):
		priority = "<7>"
	}
	p.line = append(append(p.line[:0], priority...), line...)
	if _, err := p.w.Write(p.line); err != nil {
		return 0, err
	}
	return len(line), nil
}
