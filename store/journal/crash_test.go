package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary runs itself as a child process that can be killed, or have
// limits of its own.
const (
	childEnv = "JOURNAL_TEST_CHILD"
	dirEnv   = "JOURNAL_TEST_DIR"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "commit":
		commitForever()
	case "limit":
		commitWithLimit()
	}
}

func childCommand(what, dir string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+what, dirEnv+"="+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

func failChild(what string, err error) {
	fmt.Fprintln(os.Stderr, what, err)
	os.Exit(1)
}

// commitForever commits blocks of all sizes, trims now and then, and prints
// the position up to which everything is committed.
func commitForever() {
	j, report, err := Open(Options{Dir: os.Getenv(dirEnv), SegmentBytes: 32 << 10})
	if err != nil {
		failChild("open:", err)
	}
	for _, d := range report.Damage {
		if d.Kind != TornTail {
			failChild("damage:", fmt.Errorf("%+v", d))
		}
	}
	fmt.Println("first", j.First())
	for {
		count := 1 + rand.IntN(300)
		if _, err := j.Commit(testEntries(j.Next(), count), count, time.Now()); err != nil {
			failChild("commit:", err)
		}
		fmt.Println("next", j.Next())
		if rand.IntN(20) == 0 && j.Next() > 5000 {
			if _, err := j.TrimBefore(j.Next() - 5000); err != nil {
				failChild("trim:", err)
			}
			fmt.Println("first", j.First())
		}
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var first, next uint64 = 1, 1 // as the children printed
	for range 15 {
		cmd := childCommand("commit", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Killed after a random number of lines, and what was printed up to the
		// moment of death is read to the end: every line is a promise.
		lines := 1 + rand.IntN(60)
		scanner := bufio.NewScanner(out)
		for n := 0; scanner.Scan(); n++ {
			if n == lines {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			what, number, _ := strings.Cut(scanner.Text(), " ")
			position, err := strconv.ParseUint(number, 10, 64)
			if err != nil {
				break // cut in the middle by the kill
			}
			if what == "first" {
				first = position
			} else {
				next = position
			}
		}
		cmd.Wait()
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
			t.Fatalf("the child ended by itself: %v", cmd.ProcessState)
		}

		j, _ := mustOpen(t, Options{Dir: dir, SegmentBytes: 32 << 10})
		if j.Next() < next {
			t.Fatalf("Next is %d, but %d was printed", j.Next(), next)
		}
		from := max(first, j.First())
		if j.First() > next {
			t.Fatalf("First is %d, trimmed at most up to %d", j.First(), next)
		}
		got, skipped := readAll(t, j, from)
		wantRanges(t, "read", got, Gap{from, j.Next() - 1})
		wantRanges(t, "skipped", skipped)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// commitWithLimit commits until the limit on the size of files stops it, and
// goes on with the same entries when the limit is lifted.
func commitWithLimit() {
	signal.Ignore(syscall.SIGXFSZ)
	j, _, err := Open(Options{Dir: os.Getenv(dirEnv), SegmentBytes: 1 << 20})
	if err != nil {
		failChild("open:", err)
	}
	setLimit := func(n uint64) {
		limit := unix.Rlimit{Cur: n, Max: unix.RLIM_INFINITY}
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
			failChild("setrlimit:", err)
		}
	}
	for round := range uint64(30) {
		// Every place that a write can be torn at comes up sooner or later: in
		// the header, the entries, the checksum; and in an empty segment.
		if round%10 == 0 {
			if err := j.Rotate(); err != nil {
				failChild("rotate:", err)
			}
		}
		end := j.active.end
		entries := testEntries(j.Next(), 10)
		setLimit(uint64(end) + round*5)
		for range 2 {
			if _, err := j.Commit(entries, 10, time.Now()); !errors.Is(err, unix.EFBIG) {
				failChild("commit over the limit:", err)
			}
			if info, err := j.file.Stat(); err != nil || info.Size() != end {
				failChild("after the failed commit:", fmt.Errorf("%d bytes, want %d; %w", info.Size(), end, err))
			}
		}
		if _, err := j.Reader(j.Next()).Next(); err != io.EOF {
			failChild("reader at the end:", err)
		}
		setLimit(unix.RLIM_INFINITY)
		if _, err := j.Commit(entries, 10, time.Now()); err != nil {
			failChild("the same entries again:", err)
		}
	}
	os.Exit(0)
}

func TestWriteFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := childCommand("limit", dir).Run(); err != nil {
		t.Fatal(err)
	}
	j, damage := mustOpen(t, Options{Dir: dir})
	if len(damage) > 0 || j.Next() != 301 {
		t.Fatalf("%v; Next is %d", damage, j.Next())
	}
	got, skipped := readAll(t, j, 1)
	wantRanges(t, "read", got, Gap{1, 300})
	wantRanges(t, "skipped", skipped)
}

// breakFile gives the committer a file that takes every write but can neither
// sync nor be truncated, which is what a failing disk looks like: fdatasync
// and ftruncate of /dev/null are EINVAL. What the write would have left on the
// disk is put there by hand.
func breakFile(t *testing.T, j *Journal, left []byte) {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.file.WriteAt(left, j.active.end); err != nil {
		t.Fatal(err)
	}
	j.file.Close()
	j.file = null
}

func TestSyncFails(t *testing.T) {
	t.Parallel()
	for committed := range 3 { // blocks in the segment before the failure
		other := AppendEntry(AppendEntry(nil, []byte("one that")), []byte("does not count"))
		whole := appendBlock(nil, &header{first: 1 + uint64(committed), count: 2}, other)
		for left := 0; left <= len(whole); left += 4 {
			dir := t.TempDir()
			j, _ := mustOpen(t, Options{Dir: dir})
			mustRotate(t, j)
			for range committed {
				mustCommit(t, j, 1)
			}
			breakFile(t, j, whole[:left])
			if _, err := j.Commit(other, 2, testTime(1)); !errors.Is(err, unix.EINVAL) {
				t.Fatal(err)
			}

			// A crash now: the entries may be there or not, but all or none.
			crashed, damage, err := Open(Options{Dir: copyFolder(t, dir)})
			if err != nil {
				t.Fatal(err)
			}
			want := j.Next()
			if left == len(whole) {
				want += 2
			}
			if crashed.Next() != want {
				t.Fatalf("Next is %d after a crash, want %d; %v", crashed.Next(), want, damage)
			}
			crashed.Close()

			mustCommit(t, j, 1) // and again
			mustCommit(t, j, 5)
			last := j.Next() - 1
			for range 2 {
				got, skipped := readAll(t, j, 1)
				wantRanges(t, "read", got, Gap{1, last})
				wantRanges(t, "skipped", skipped)
				j.Close()
				j, _ = mustOpen(t, Options{Dir: dir})
				if d := j.Damage(); len(d) > 0 || j.Next() != last+1 {
					t.Fatalf("%d bytes left after %d blocks: %v; Next is %d", left, committed, d, j.Next())
				}
			}
		}
	}
}

// TestSyncFailsButCutWorks goes on in a new segment, as the kernel may have
// dropped what was to be written.
func TestSyncFailsButCutWorks(t *testing.T) {
	t.Parallel()
	j, _ := mustOpen(t, Options{Dir: t.TempDir()})
	mustCommit(t, j, 3)
	for range 2 { // the second time the segment is empty: it can be used again
		file, end := j.file, j.active.end
		if _, err := file.WriteAt([]byte("what the commit wrote"), end); err != nil {
			t.Fatal(err)
		}
		j.abandon(true)
		if end > 0 && j.active != nil || end == 0 && j.active == nil {
			t.Fatalf("after a failure at %d bytes: active is %v", end, j.active)
		}
		mustRotate(t, j)
	}
	mustCommit(t, j, 3)
	segments := j.Segments()
	if len(segments) != 2 || segments[1].First != 4 {
		t.Fatalf("%v", segments)
	}
	got, _ := readAll(t, j, 1)
	wantRanges(t, "read", got, Gap{1, 6})
}

// TestUnreadableTailIsNotCut has a last block that cannot be read at one
// start, but at the next.
func TestUnreadableTailIsNotCut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, _ := mustOpen(t, Options{Dir: dir})
	mustCommit(t, j, 3)
	end := j.active.end
	mustCommit(t, j, 3)
	j.Close()
	path := filepath.Join(dir, segmentName(1))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	// No disk here has bad sectors: damage stands for them.
	writeFiles(t, dir, map[string][]byte{segmentName(1): append(bytes.Clone(whole[:end]), make([]byte, int64(len(whole))-end)...)})
	j = &Journal{dir: dir, segmentBytes: DefaultSegmentBytes}
	if j.dirFile, err = os.Open(dir); err != nil {
		t.Fatal(err)
	}
	v, err := j.scan(1, maxPosition)
	if err != nil {
		t.Fatal(err)
	}
	v.zeroed = true
	if ok, err := j.link(nil, v); !ok || err != nil {
		t.Fatal(err)
	}
	j.next = v.next
	if err := j.resume(v, 0); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, j, 2)
	j.Close()

	if info, err := os.Stat(path); err != nil || info.Size() != int64(len(whole)) {
		t.Fatalf("the segment was changed; %v", err)
	}
	writeFiles(t, dir, map[string][]byte{segmentName(1): whole})
	j, damage := mustOpen(t, Options{Dir: dir})
	if len(damage) > 0 || j.Next() != 6 {
		t.Fatalf("%v; Next is %d", damage, j.Next())
	}
	got, _ := readAll(t, j, 1)
	wantRanges(t, "read", got, Gap{1, 5})
}

func copyFolder(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestFolderFails has a folder that cannot be synced, as when its disk is gone.
func TestFolderFails(t *testing.T) {
	t.Parallel()
	j, _ := mustOpen(t, Options{Dir: t.TempDir()})
	mustCommit(t, j, 3)
	mustRotate(t, j)
	mustCommit(t, j, 3)
	good := j.dirFile
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	j.dirFile = null
	for range 3 {
		if err := j.Rotate(); err == nil {
			t.Fatal("rotated without a folder entry")
		}
		if _, err := j.Commit(testEntries(7, 1), 1, testTime(7)); err == nil {
			t.Fatal("committed without a folder entry")
		}
	}
	if _, err := j.TrimBefore(4); err == nil {
		t.Fatal("trimmed without a word")
	}
	j.dirFile = good
	mustCommit(t, j, 3)
	got, _ := readAll(t, j, 4)
	wantRanges(t, "read", got, Gap{4, 9})
}
