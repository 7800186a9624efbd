package store_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/audit"
	"github.com/telemetry-hub/telemetry-hub/store/commands"
	"github.com/telemetry-hub/telemetry-hub/store/devices"
)

// wholeHub returns the directory of a stopped store that has something in every bucket of hub.db, and the tokens of a and b.
func wholeHub(t *testing.T) (dir string, tokens []string) {
	t.Helper()
	h := start(t, store.Options{})
	tokens = append(add(t, h.Store, "a"), add(t, h.Store, "b")...)
	addAdmin(t, h.Store)
	if _, _, err := h.Accounts.OpenSession("kim"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Accounts.AddAPIKey("script", accounts.RoleViewer); err != nil {
		t.Fatal(err)
	}
	h.Outages.HubStarted()
	for _, id := range []string{"a", "b"} {
		h.Devices.Note(id, &device.Hello{SchemaHash: device.HashSchema(settableMessage)})
		h.Outages.DeviceConnected(id)
		c := connect(t, h.Store, id, 1)
		c.Schema(settableMessage, settable)
		c.Send(numbers(1, 100)...)
		c.Await(numbers(1, 100)...)
		if err := c.Reject(t.Context(), 101, device.RejectMalformed, "no good", []byte{3, 1}); err != nil {
			t.Fatal(err)
		}
		if err := c.Lost(t.Context(), &device.Lost{First: 102, Last: 110, Reason: device.LostOverwritten}); err != nil {
			t.Fatal(err)
		}
		c.Send(1) // a duplicate
		c.Await(1)
		if _, err := h.Settings.Set(id, "setpoint", 21.5, "kim", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Commands.Send(commands.New{Device: id, Name: "identify", TTL: time.Hour, By: "kim"}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := h.Commands.Delivery(id, 1).Exchange(nil); err != nil {
			t.Fatal(err)
		}
		h.Outages.DeviceDisconnected(id)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	return h.Dir(), tokens
}

var (
	settable = &device.Schema{
		Channels: append(slices.Clone(schema.Channels), device.Channel{ID: 3, Name: "setpoint", Type: device.Float64, Writable: true}),
		Commands: []device.CommandSpec{{Name: "identify"}},
	}
	settableMessage = device.AppendControl(nil, settable)
)

// addAdmin adds the user kim.
func addAdmin(t *testing.T, s *store.Store) {
	t.Helper()
	if err := s.Accounts.AddUser("kim", "correct horse", accounts.RoleAdmin); err != nil {
		t.Fatal(err)
	}
}

// editHub changes hub.db of a stopped store.
func editHub(t *testing.T, dir string, edit func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path(dir, "hub.db"), 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(edit); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// eachRecord calls f with every record of hub.db.
func eachRecord(t *testing.T, dir string, f func(bucket, key, value []byte)) {
	t.Helper()
	editHub(t, dir, func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				f(bytes.Clone(name), bytes.Clone(k), bytes.Clone(v))
				return nil
			})
		})
	})
}

// TestBadRecordOfEveryBucket has each record of hub.db damaged, or replaced by one that is sound and makes no sense: the hub
// starts, says so, keeps everything else, and every answer can be given. After one more start nothing is wrong any more.
func TestBadRecordOfEveryBucket(t *testing.T) {
	dir, tokens := wholeHub(t)
	seal := func(key, value []byte) []byte {
		sum := crc32.Checksum(append(bytes.Clone(key), value...), crc32.MakeTable(crc32.Castagnoli))
		return append(binary.LittleEndian.AppendUint32(nil, sum), value...)
	}
	buckets := map[string]int{}
	eachRecord(t, dir, func(bucket, key, value []byte) {
		n := buckets[string(bucket)]
		buckets[string(bucket)]++
		others := []string{"cut", "empty", "sealed nonsense", "sealed empty", "sealed JSON"}
		for how, bad := range map[string][]byte{
			"flipped": flip(value, len(value)/2), "cut": value[:len(value)/2], "empty": {},
			"sealed nonsense": seal(key, []byte{0xa1, 0x01, 0x5f}), "sealed empty": seal(key, nil), "sealed JSON": seal(key, []byte(`{"x":[1]}`)),
		} {
			if n > 1 && how != "flipped" && how != others[n%len(others)] {
				continue // enough of a kind
			}
			t.Run(fmt.Sprintf("%s/%x/%s", bucket, key, how), func(t *testing.T) {
				t.Parallel()
				dir := copyDir(t, dir)
				editHub(t, dir, func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, bad) })
				h := start(t, store.Options{Dir: dir})
				alarmed := slices.ContainsFunc(h.Alarms.All(), func(a alarms.Alarm) bool {
					return strings.Contains(a.Text, "hub.db") && strings.Contains(a.Text, string(bucket))
				})
				// What marks that there are accounts, and when the hub ran, is nothing to anybody if it is unreadable.
				if !alarmed && !(string(bucket) == "meta" && string(key) == "accounts") {
					t.Errorf("alarms: %v", h.Alarms.All())
				}
				checkWhole(t, h.Store, tokens, string(bucket))
				if err := h.stop(); err != nil {
					t.Fatal(err)
				}
				again := start(t, store.Options{Dir: dir})
				if alarms := again.Alarms.All(); len(alarms) > 0 {
					t.Errorf("at the next start: %v", alarms)
				}
				checkWhole(t, again.Store, tokens, string(bucket))
			})
		}
	})
	for _, name := range []string{"devices", "schemas", "books", "sources", "dead_letters", "commands", "desired", "announced", "audit",
		"incidents", "users", "api_keys", "sessions", "meta"} {
		if buckets[name] == 0 {
			t.Errorf("nothing is in %s: the test does not test it", name)
		}
	}
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 0x10
	return b
}

// checkWhole checks that nothing is missing of what wholeHub made, but what a bucket alone knows.
func checkWhole(t *testing.T, s *store.Store, tokens []string, damaged string) {
	t.Helper()
	for i, id := range []string{"a", "b"} {
		wantToken(t, s, tokens[i], id, nil)
		wantFrames(t, s, id, numbers(1, 100))
		b := s.Ledger.Books(id)
		if b.Frames != 100 || b.Rejected != 1 || b.Lost != 9 || b.Holes != 0 || damaged != "meta" && b.Duplicates != 1 {
			t.Errorf("books of %s: %+v", id, b)
		}
		if got := s.Ledger.Ingest(id, 1, func() {}).Received(10); len(got) != 1 || got[0] != (device.Range{First: 1, Last: 110}) {
			t.Errorf("received of %s: %v", id, got)
		}
		if n := len(s.Settings.List(id)); n != 1 && damaged != "desired" {
			t.Errorf("%d desired values of %s", n, id)
		}
		if _, ok := s.DeviceSchema(id); !ok && damaged != "schemas" {
			t.Errorf("the schema of %s is gone", id)
		}
	}
	if len(s.Accounts.Users()) != 1 || len(s.Accounts.APIKeys()) != 1 {
		t.Errorf("users %v, API keys %v", s.Accounts.Users(), s.Accounts.APIKeys())
	}
	if list, err := s.Commands.List(commands.Filter{}); err != nil || len(list) != 4 && damaged != "commands" {
		t.Errorf("%d commands, %v", len(list), err)
	}
	if list, err := s.Audit.Entries(audit.Filter{}); err != nil || len(list) < 5 {
		t.Errorf("%d entries in the audit trail, %v", len(list), err)
	}
	if list, err := s.Ledger.DeadLetters(0, 10); err != nil || len(list) != 2 && damaged != "dead_letters" {
		t.Errorf("%d dead letters, %v", len(list), err)
	}
}

// TestCopyThatCantBeWritten: what a change did is in hub.db, whatever becomes of the copy, which is written as soon as it can be.
func TestCopyThatCantBeWritten(t *testing.T) {
	h := start(t, store.Options{})
	first := add(t, h.Store, "a")[0]
	name := path(h.Dir(), "devices.json")
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(name, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	added := add(t, h.Store, "b")
	if len(added) != 1 {
		t.Fatal("the token is lost")
	}
	wantToken(t, h.Store, added[0], "b", nil)
	if _, err := h.Devices.Rotate("b"); err != nil {
		t.Error(err)
	}
	if err := h.Devices.Revoke("a"); err != nil {
		t.Error(err)
	}
	wantToken(t, h.Store, first, "", devices.ErrRevoked)
	if err := h.RemoveDevice("b"); err != nil {
		t.Error(err)
	}
	if alarms := h.Alarms.All(); len(alarms) != 1 || !strings.Contains(alarms[0].Text, "devices.json") {
		t.Errorf("alarms: %v", alarms)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	h = start(t, store.Options{Dir: h.Dir()})
	wantToken(t, h.Store, first, "", devices.ErrRevoked)
	if alarms := h.Alarms.All(); len(alarms) != 1 {
		t.Errorf("alarms: %v", alarms)
	}
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
	if err := h.Ledger.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	if alarms := h.Alarms.All(); len(alarms) != 0 {
		t.Errorf("alarms: %v", alarms)
	}
	if b, err := os.ReadFile(name); err != nil || !strings.Contains(string(b), `"revoked":true`) {
		t.Errorf("the copy is %s, %v", b, err)
	}
}

// TestLastDeviceStaysRemoved: the copy, which could not be written, must not bring it back.
func TestLastDeviceStaysRemoved(t *testing.T) {
	h := start(t, store.Options{})
	token := add(t, h.Store, "a")[0]
	name := path(h.Dir(), "devices.json")
	old, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.RemoveDevice("a"); err != nil {
		t.Fatal(err)
	}
	if err := h.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, old, 0o600); err != nil {
		t.Fatal(err)
	}
	wantToken(t, start(t, store.Options{Dir: h.Dir()}).Store, token, "", devices.ErrUnknownToken)
}

// TestFlippedBitInCopies: with hub.db lost, a flipped bit in a copy costs one record at most, and that is said.
func TestFlippedBitInCopies(t *testing.T) {
	dir, tokens := wholeHub(t)
	if err := os.Remove(path(dir, "hub.db")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"devices.json", "users.json"} {
		whole, err := os.ReadFile(path(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		places := []int{}
		for at, b := range whole {
			if at%13 == 0 || b == '\n' { // where records meet, too
				places = append(places, at)
			}
		}
		for _, at := range places {
			t.Run(fmt.Sprint(name, " ", at), func(t *testing.T) {
				t.Parallel()
				dir := copyDir(t, dir)
				if err := os.WriteFile(path(dir, name), flip(whole, at), 0o600); err != nil {
					t.Fatal(err)
				}
				s := start(t, store.Options{Dir: dir}).Store
				have := len(s.Devices.All()) + len(s.Accounts.Users()) + len(s.Accounts.APIKeys())
				told := slices.ContainsFunc(s.Alarms.All(), func(a alarms.Alarm) bool {
					return strings.Contains(a.Text, "in "+name+" are damaged")
				})
				if have < 3 || have < 4 && !told {
					t.Errorf("%d of 4 records are back; alarms: %v", have, s.Alarms.All())
				}
				for _, d := range s.Devices.All() {
					wantToken(t, s, tokens[d.ID[0]-'a'], d.ID, nil)
				}
			})
		}
	}
}
