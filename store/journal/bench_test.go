package journal

import (
	"fmt"
	"io"
	"os"
	"testing"
)

// writtenBytes returns how many bytes this process has caused to be written to
// disks, in whole pages, as the kernel counts them.
func writtenBytes(b *testing.B) (n int64) {
	b.Helper()
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Fatal(err)
	}
	var skip int64
	if _, err := fmt.Sscanf(string(data), "rchar: %d\nwchar: %d\nsyscr: %d\nsyscw: %d\nread_bytes: %d\nwrite_bytes: %d",
		&skip, &skip, &skip, &skip, &skip, &n); err != nil {
		b.Fatal(err)
	}
	return n
}

// benchEntries returns entries of about the size of a small frame.
func benchEntries(size int) (entries []byte, count int) {
	frame := make([]byte, 99)
	for len(entries)+100 <= size {
		entries = AppendEntry(entries, frame)
		count++
	}
	return entries, count
}

func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{4 << 10, 16 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			j, _ := mustOpen(b, Options{Dir: b.TempDir()})
			entries, count := benchEntries(size)
			b.SetBytes(int64(len(entries)))
			b.ReportAllocs()
			before := writtenBytes(b)
			for b.Loop() {
				if _, err := j.Commit(entries, count, testTime(1)); err != nil {
					b.Fatal(err)
				}
				if j.Full() {
					if err := j.Rotate(); err != nil {
						b.Fatal(err)
					}
					if _, err := j.TrimBefore(j.Next()); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(writtenBytes(b)-before)/float64(b.N*len(entries)), "written/B")
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, size := range []int{4 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			j, _ := mustOpen(b, Options{Dir: b.TempDir()})
			entries, count := benchEntries(size)
			for j.Bytes() < 32<<20 {
				if _, err := j.Commit(entries, count, testTime(1)); err != nil {
					b.Fatal(err)
				}
			}
			r := j.Reader(1)
			defer r.Close()
			b.SetBytes(int64(len(entries)))
			b.ReportAllocs()
			for b.Loop() {
				block, err := r.Next()
				if err == io.EOF {
					r.Close()
					r = j.Reader(1)
					continue
				}
				if err != nil {
					b.Fatal(err)
				}
				for range block.Entries() {
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	j, _ := mustOpen(b, Options{Dir: dir})
	entries, count := benchEntries(64 << 10)
	for j.Bytes() < 100<<20 {
		if _, err := j.Commit(entries, count, testTime(1)); err != nil {
			b.Fatal(err)
		}
	}
	j.Close()
	for b.Loop() {
		j, _, err := Open(Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		j.Close()
	}
}
