package journal

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// dirtyPages returns how many pages of a file are not on the disk yet, as far
// as the kernel can tell (Linux 6.5 and later can).
func dirtyPages(t *testing.T, path string) uint64 {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var stat unix.Cachestat_t
	err = unix.Cachestat(uint(file.Fd()), &unix.CachestatRange{}, &stat, 0)
	if err != nil && err != unix.ENOSYS && err != unix.EPERM && err != unix.EOPNOTSUPP {
		t.Fatal(err)
	}
	return stat.Dirty + stat.Writeback
}

func TestOnDiskWhenItSaysSo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, segmentName(1))
	j, _ := mustOpen(t, Options{Dir: dir})
	for range 5 {
		mustCommit(t, j, 3)
		if n := dirtyPages(t, path); n > 0 {
			t.Fatalf("%d pages not on the disk after a commit", n)
		}
	}
	j.Close()

	// Killed between write and fdatasync: the block is there, and counts.
	block := appendBlock(nil, &header{first: 16, count: 3}, testEntries(16, 3))
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(block); err != nil {
		t.Fatal(err)
	}
	j, _ = mustOpen(t, Options{Dir: dir})
	if n := dirtyPages(t, path); j.Next() != 19 || n > 0 {
		t.Fatalf("Next is %d with %d pages not on the disk", j.Next(), n)
	}
}
