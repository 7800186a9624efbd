package boltfile

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// inUse returns the pages of a file below its high water mark; what is behind them has never been written.
func inUse(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := checker{f: bytes.NewReader(b)}
	m, _, err := c.newestMeta()
	if err != nil {
		t.Fatal(err)
	}
	return b[:m.high*pageSize]
}

// TestDamage flips bits all over a file: nothing may crash or hang, whatever comes of it.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.db")
	makeFile(t, path)
	sound := inUse(t, path)
	rng := rand.New(rand.NewPCG(1, 2))
	refused, tried := 0, 0
	try := func(b []byte) {
		t.Helper()
		tried++
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if !use(t, path) {
			refused++
		}
	}
	for at := 0; at < len(sound); at++ {
		// Most in headers and elements, some in keys and values.
		if in := at % pageSize; rng.IntN(12) != 0 || in >= 80 && rng.IntN(60) != 0 {
			continue
		}
		b := bytes.Clone(sound)
		b[at] ^= 1 << rng.IntN(8)
		try(b)
	}
	for at := 0; at < len(sound); at += pageSize {
		zeroed, other := bytes.Clone(sound), bytes.Clone(sound)
		clear(zeroed[at : at+pageSize])
		copy(other[at:at+pageSize], sound[pageSize*rng.IntN(len(sound)/pageSize):])
		try(zeroed)
		try(other)
		try(sound[:at])
		try(sound[:at+1+rng.IntN(pageSize-1)])
	}
	for range 20 {
		b := make([]byte, rng.IntN(100_000))
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		try(b)
	}
	t.Logf("%d of %d damaged files were refused", refused, tried)
	if refused < tried/5 {
		t.Errorf("only %d of %d damaged files were refused", refused, tried)
	}
}

// TestDamagedWhileOpen overwrites a file that is open: it can be closed, and what opens it next finds it damaged, not locked.
func TestDamagedWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	makeFile(t, path)
	f, err := Open(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if _, err := raw.WriteAt(bytes.Repeat([]byte{0xa5}, 16*pageSize), 2*pageSize); err != nil {
		t.Fatal(err)
	}
	if err := f.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bolt.Bucket) error { return readAll(b) })
	}); !errors.Is(err, ErrDamaged) || !f.Damaged() {
		t.Errorf("read: %v", err)
	}
	for range 2 {
		if err := f.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if _, err := Open(path, 1<<20); !errors.Is(err, ErrDamaged) {
		t.Errorf("opened again: %v", err)
	}
	if _, err := SetAside(path, time.Now()); err != nil {
		t.Error(err)
	}
	if f, err = Open(path, 1<<20); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
