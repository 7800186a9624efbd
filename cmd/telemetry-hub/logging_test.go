package main

import (
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"testing"
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
