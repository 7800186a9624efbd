package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// makeFile makes a file with branch pages, leaves, overflow pages, inline and nested buckets, and free pages.
func makeFile(t testing.TB, path string) {
	t.Helper()
	f, err := Open(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		err := f.Update(func(tx *bolt.Tx) error {
			large, err := tx.CreateBucketIfNotExists([]byte("large"))
			if err != nil {
				return err
			}
			small, err := tx.CreateBucketIfNotExists([]byte("small"))
			if err != nil {
				return err
			}
			nested, err := large.CreateBucketIfNotExists([]byte("nested"))
			if err != nil {
				return err
			}
			for i := range 300 {
				key := fmt.Appendf(nil, "key %04d", i)
				if err := large.Put(key, bytes.Repeat([]byte{byte(i + round)}, 40+i%7*30)); err != nil {
					return err
				}
			}
			return errors.Join(large.Put([]byte("overflow"), make([]byte, 9000)), large.Delete(fmt.Appendf(nil, "key %04d", round)),
				small.Put([]byte("one"), []byte("1")), nested.Put([]byte("two"), []byte("2")))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// use opens the file and, if that goes well, reads and changes everything. It returns whether the file could be used.
func use(t testing.TB, path string) bool {
	t.Helper()
	f, err := Open(path, 1<<20)
	if err != nil {
		if !errors.Is(err, ErrDamaged) {
			t.Fatalf("open: %v", err)
		}
		return false
	}
	err = f.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error { return readAll(b) })
	})
	if err == nil {
		err = f.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket([]byte("large"))
			if b == nil {
				return nil
			}
			for i := range 300 {
				if err := b.Delete(fmt.Appendf(nil, "key %04d", i)); err != nil {
					return err
				}
			}
			return b.Put([]byte("new"), make([]byte, 5000))
		})
	}
	damaged := f.Damaged()
	if errors.Is(err, ErrDamaged) != damaged {
		t.Fatalf("damaged is %v after %v", damaged, err)
	}
	if err := f.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	return !damaged
}

// read is made of all that is read, so that the compiler leaves none of it out.
var read byte

func readAll(b *bolt.Bucket) error {
	return b.ForEach(func(k, v []byte) error {
		if v == nil {
			return readAll(b.Bucket(k))
		}
		var sum byte
		for _, c := range v {
			sum += c
		}
		read += sum
		return nil
	})
}

func TestUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	makeFile(t, path)
	for range 2 {
		if !use(t, path) {
			t.Error("a sound file was found damaged")
		}
	}
}

// TestCycle makes a branch page its own child: bbolt would follow it until the stack is full, which ends the process.
func TestCycle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	makeFile(t, path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for at := 2 * pageSize; at < len(b); at += pageSize {
		if p := page(b[at : at+pageSize]); p.flags() == flagBranch && p.count() > 0 {
			binary.NativeEndian.PutUint64(p[headerLen+8:], p.id())
			changed++
		}
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if changed == 0 || use(t, path) {
		t.Errorf("%d branch pages contain themselves, and nobody noticed", changed)
	}
}

func TestNotAFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a.db")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, 0); !errors.Is(err, ErrDamaged) {
		t.Errorf("a directory was opened: %v", err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	name, err := SetAside(dir, now)
	if err != nil || name != dir+".damaged-20260102T030405Z" {
		t.Fatalf("set aside as %q: %v", name, err)
	}
	makeFile(t, dir)
	second, err := SetAside(dir, now.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	kept, err := siblings(dir)
	if err != nil || len(kept) != 1 || kept[0] != second {
		t.Errorf("kept %q, want only %q: %v", kept, second, err)
	}
}

func TestEmptyFileIsNew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	makeFile(t, path)
	if !use(t, path) {
		t.Error("an empty file did not become a sound one")
	}
}

func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	f, err := Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, 0); !errors.Is(err, ErrLocked) || errors.Is(err, ErrDamaged) {
		t.Errorf("opened twice: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if !use(t, path) {
		t.Error("still locked")
	}
}

// TestPanic checks that a panic in a transaction becomes an error for good, and that the file's name can be used again.
func TestPanic(t *testing.T) {
	for name, run := range map[string]func(*File, func(*bolt.Tx) error) error{"view": (*File).View, "update": (*File).Update} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.db")
			makeFile(t, path)
			f, err := Open(path, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := run(f, func(*bolt.Tx) error { panic("page 7 is a banana") }); !errors.Is(err, ErrDamaged) || !f.Damaged() {
				t.Errorf("a panic became %v", err)
			}
			if err := f.View(func(*bolt.Tx) error { return nil }); !errors.Is(err, ErrDamaged) {
				t.Errorf("then %v", err)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			if _, err := SetAside(path, time.Now()); err != nil {
				t.Fatal(err)
			}
			makeFile(t, path)
			if !use(t, path) {
				t.Error("the new file can't be used")
			}
		})
	}
}

func TestFailedUpdateChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	makeFile(t, path)
	f, err := Open(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	failure := errors.New("no")
	err = f.Update(func(tx *bolt.Tx) error {
		if err := tx.DeleteBucket([]byte("large")); err != nil {
			return err
		}
		return failure
	})
	if !errors.Is(err, failure) || f.Damaged() {
		t.Errorf("got %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if !use(t, path) {
		t.Error("damaged")
	}
}

func TestCompact(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	f, err := Open(path, 64<<20)
	if err != nil {
		t.Fatal(err)
	}
	put := func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		for i := range 2000 {
			err = errors.Join(err, b.Put(fmt.Appendf(nil, "%d", i), make([]byte, 2000)))
		}
		return err
	}
	remove := func(tx *bolt.Tx) error {
		var err error
		for i := range 1990 {
			err = errors.Join(err, tx.Bucket([]byte("b")).Delete(fmt.Appendf(nil, "%d", i)))
		}
		return err
	}
	if err := errors.Join(f.Update(put), f.Update(remove)); err != nil {
		t.Fatal(err)
	}
	size, used, err := f.Space()
	if err != nil || size < 4_000_000 || used > 100_000 {
		t.Fatalf("size %d, used %d: %v", size, used, err)
	}
	if f, err = f.Compact(0); err != nil {
		t.Fatal(err)
	}
	if size, used, err = f.Space(); err != nil || size > 200_000 || used > 100_000 {
		t.Errorf("after compacting size %d, used %d: %v", size, used, err)
	}
	n := 0
	err = f.View(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("b")).ForEach(func(k, v []byte) error { n++; return nil })
	})
	if err != nil || n != 10 {
		t.Errorf("%d keys left, want 10: %v", n, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if !use(t, path) {
		t.Error("damaged")
	}
}

// TestRelease reads a large file: it must not stay in the resident memory.
func TestRelease(t *testing.T) {
	f, err := Open(filepath.Join(t.TempDir(), "a.db"), 256<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 64 {
		err := f.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			return errors.Join(err, b.Put([]byte{byte(i)}, make([]byte, 1<<20)))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	readIt := func() {
		t.Helper()
		if err := f.View(func(tx *bolt.Tx) error { return readAll(tx.Bucket([]byte("b"))) }); err != nil {
			t.Fatal(err)
		}
	}
	readIt()
	if before := residentFile(t); before < 60<<20 {
		t.Errorf("only %d bytes of files are resident after reading", before)
	}
	if err := f.Release(); err != nil {
		t.Fatal(err)
	}
	if after := residentFile(t); after > 30<<20 {
		t.Errorf("%d bytes of files are resident", after)
	}
	readIt()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// residentFile is how many bytes of files are in the process's resident memory; those of a tmpfs count as shared memory.
func residentFile(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	for _, field := range []string{"\nRssFile:", "\nRssShmem:"} {
		var kib int64
		_, line, _ := bytes.Cut(b, []byte(field))
		if _, err := fmt.Sscanf(string(line), "%d kB", &kib); err != nil {
			t.Fatal(err)
		}
		sum += kib << 10
	}
	return sum
}

// FuzzOpen changes bytes of a real file: it is refused, or can be read.
func FuzzOpen(f *testing.F) {
	path := filepath.Join(f.TempDir(), "a.db")
	makeFile(f, path)
	sound := inUse(f, path)
	f.Add(uint32(3*pageSize+8), []byte{2}, uint32(len(sound)))
	f.Add(uint32(16), []byte{0xed, 0xda}, uint32(100))
	f.Fuzz(func(t *testing.T, at uint32, change []byte, length uint32) {
		b := bytes.Clone(sound)
		copy(b[int(at)%len(b):], change)
		path := filepath.Join(t.TempDir(), "a.db")
		if err := os.WriteFile(path, b[:min(int(length), len(b))], 0o600); err != nil {
			t.Fatal(err)
		}
		use(t, path)
	})
}
