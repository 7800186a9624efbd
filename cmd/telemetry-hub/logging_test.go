package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/dashboard/api/client"
)

func TestLogUnderSystemd(t *testing.T) {
	var out lines
	var st syscall.Stat_t
	if err := syscall.Fstat(int(os.Stderr.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", st.Dev, st.Ino)) // this is how a process knows where stderr leads
	log := newLogger(&out, slog.LevelDebug)
	log.Debug("d")
	log.Info("i")
	log.With("k", "v").WithGroup("g").Warn("w", "time", 2)
	log.Error("e")
	want := "<7>level=DEBUG msg=d\n<6>level=INFO msg=i\n<4>level=WARN msg=w k=v g.time=2\n<3>level=ERROR msg=e\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// stuck is a reader of the log that stands still until it is released.
type stuck struct {
	lines
	release chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.release
	return s.lines.Write(p)
}

func TestLogThatNobodyReads(t *testing.T) {
	w := &stuck{release: make(chan struct{})}
	q := newLineQueue(w)
	log := newLogger(q, slog.LevelInfo)
	for n := range queuedLines + 500 {
		log.Info("line", "n", n)
	}
	close(w.release)
	q.close()
	got := w.String()
	kept := strings.Count(got, "msg=line")
	var dropped int
	if _, text, ok := strings.Cut(got, "lines="); ok {
		fmt.Sscan(text, &dropped)
	}
	if kept < queuedLines || kept+dropped != queuedLines+500 || !strings.Contains(got, "n=0\n") {
		t.Errorf("%d lines were kept and %d are said to be dropped", kept, dropped)
	}
}

// A hub whose output nobody reads starts, serves and stops.
func TestHubWhoseOutputNobodyReads(t *testing.T) {
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(ends[0])
	for chunk := make([]byte, 4096); ; {
		if _, err := syscall.Write(ends[1], chunk); err != nil {
			break // it is full
		}
	}
	if err := syscall.SetNonblock(ends[1], false); err != nil {
		t.Fatal(err)
	}
	full := os.NewFile(uintptr(ends[1]), "full pipe")
	defer full.Close()
	dir := t.TempDir()
	hub := exec.Command(program("telemetry-hub"), "serve", "--data-dir", dir, "--listen", "127.0.0.1:0", "--log-level", "debug")
	hub.Stdout, hub.Stderr = full, full
	if err := hub.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(time.Minute, func() { _ = hub.Process.Kill() }) // if it waits for its log to be read
	defer late.Stop()
	waitFor(t, "the hub to serve", func() bool {
		c, err := client.Dial(t.Context(), dir)
		if err == nil {
			defer c.Close()
			_, err = c.Status(t.Context())
		}
		return err == nil
	})
	if err := hub.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := hub.Wait(); err != nil {
		t.Error(err)
	}
}
