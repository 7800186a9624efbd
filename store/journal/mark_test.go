package journal

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestMarkWritesNews: without commits nothing is written, so that an idle hub lets its disk sleep.
func TestMarkWritesNews(t *testing.T) {
	j, _ := mustOpen(t, Options{Dir: t.TempDir()})
	name := filepath.Join(j.dir, markFile)
	long := time.Unix(1_000_000_000, 0)
	written := func() bool {
		t.Helper()
		if err := j.Mark(); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, long, long); err != nil {
			t.Fatal(err)
		}
		return !info.ModTime().Equal(long)
	}
	for range 2 {
		mustCommit(t, j, 3)
		if !written() || j.readMark() != j.Next() {
			t.Errorf("the mark is %d, want %d", j.readMark(), j.Next())
		}
		if written() {
			t.Error("written without a commit")
		}
	}
}
