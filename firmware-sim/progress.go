package firmwaresim

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/telemetry-hub/telemetry-hub/device/text"
)

// Progress shows how things stand once a second: on a terminal in one line that is rewritten, elsewhere line by line.
// The zero Progress is silent.
type Progress struct {
	w        io.Writer
	terminal bool
	fd       int
}

// NewProgress shows progress on f.
func NewProgress(f *os.File) Progress {
	fd := int(f.Fd())
	return Progress{w: f, terminal: term.IsTerminal(fd), fd: fd}
}

// follow shows what line returns until the returned function is called.
func (p Progress) follow(line func() string) (stop func()) {
	if p.w == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		shown := false
		for ; sleep(ctx, time.Second); shown = true {
			p.show(line())
		}
		if p.terminal && shown {
			fmt.Fprintln(p.w)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func (p Progress) show(line string) {
	line = text.Printable(line) // a hub's words may be in it
	if !p.terminal {
		fmt.Fprintln(p.w, line)
		return
	}
	// A line that wraps could not be rewritten.
	if width, _, err := term.GetSize(p.fd); err == nil && width > 1 {
		if r := []rune(line); len(r) >= width {
			line = string(r[:width-1])
		}
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s", line)
}

// say shows a line that stays.
func (p Progress) say(format string, args ...any) {
	if p.w != nil {
		fmt.Fprintf(p.w, format+"\n", args...)
	}
}
