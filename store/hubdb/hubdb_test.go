package hubdb

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func openDB(t *testing.T, dir string) *DB {
	t.Helper()
	db, _, err := Open(dir, noon)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func newCopy(path string) (*Copy, *alarms.List) {
	list := alarms.New(wallclock.System(), slog.New(slog.DiscardHandler))
	return NewCopy(path, "devices", list), list
}

// TestDamagedRecord: it costs itself, is kept in a copy of the file, and nobody meets it again.
func TestDamagedRecord(t *testing.T) {
	dir := t.TempDir()
	db := openDB(t, dir)
	keys := [][]byte{Key8(1), Key8(2), Key8(3)}
	err := db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(BucketAudit)
		for _, k := range keys {
			if err := Put(b, k, []byte("value")); err != nil {
				return err
			}
		}
		sealed := bytes.Clone(b.Get(keys[1]))
		sealed[5] ^= 1
		return b.Put(keys[1], sealed)
	})
	if err != nil {
		t.Fatal(err)
	}
	read := func() (have []string) {
		err := db.View(func(tx *bbolt.Tx) error {
			if Get(tx.Bucket(BucketAudit), keys[1]) != nil {
				t.Error("a damaged value is returned")
			}
			return db.Each(tx, BucketAudit, func(k, v []byte) error { have = append(have, string(k[7:])+string(v)); return nil })
		})
		if err != nil {
			t.Error(err)
		}
		return have
	}
	for round, damaged := range []bool{true, false} {
		if have := strings.Join(read(), " "); have != "\x01value \x03value" || db.DamagedIn(BucketAudit) != damaged || db.DamagedIn(BucketUsers) {
			t.Errorf("round %d: %q, damaged %t", round, have, db.DamagedIn(BucketAudit))
		}
		text := db.RemoveDamaged(slog.New(slog.DiscardHandler), noon)
		if strings.Contains(text, "1 record in hub.db could not be read (audit 1), and what it held") != damaged {
			t.Errorf("round %d: %q", round, text)
		}
		db.ForgetDamaged()
	}
	if kept, err := filepath.Glob(filepath.Join(dir, "hub.db.damaged-*")); err != nil || len(kept) != 1 {
		t.Errorf("kept %q: %v", kept, err)
	}
}

// TestCopySurvivesFlippedBits: each costs one record at most, and that is counted.
func TestCopySurvivesFlippedBits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "devices.json")
	c, list := newCopy(path)
	records := []any{map[string]string{"id": "a"}, map[string]string{"id": "b\"{"}, map[string]string{"id": "c"}}
	c.Write(records)
	whole, err := os.ReadFile(path)
	if err != nil || !json.Valid(whole) || c.Stale() || len(list.All()) > 0 {
		t.Fatalf("%s: %v", whole, err)
	}
	for at := range whole {
		for bit := range 8 {
			changed := bytes.Clone(whole)
			changed[at] ^= 1 << bit
			if err := os.WriteFile(path, changed, 0o600); err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			bad, err := c.Read(func(record []byte) error {
				var r struct{ ID string }
				err := json.Unmarshal(record, &r)
				seen[r.ID] = true
				return err
			})
			if err != nil || len(seen) < 2 || len(seen) < 3 && bad == 0 || seen[""] {
				t.Errorf("bit %d of byte %d: %d records, %d bad: %v", bit, at, len(seen), bad, err)
			}
		}
	}
}

// TestCopyThatCantBeWritten has something in the way of the file.
func TestCopyThatCantBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "devices.json")
	c, list := newCopy(path)
	c.Write(nil)
	if _, err := os.Stat(path); err == nil {
		t.Error("a copy of nothing was made")
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	c.Write([]any{1})
	if !c.Stale() || len(list.All()) != 1 {
		t.Errorf("stale %t, alarms %v", c.Stale(), list.All())
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	c.Write([]any{1})
	if c.Stale() || len(list.All()) != 0 {
		t.Errorf("stale %t, alarms %v", c.Stale(), list.All())
	}
}

// TestLock has the file opened twice.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	if db := openDB(t, dir); !db.Fresh() {
		t.Error("a new file is not fresh")
	}
	if _, _, err := Open(dir, noon); err != ErrLocked {
		t.Errorf("got %v, want ErrLocked", err)
	}
}
