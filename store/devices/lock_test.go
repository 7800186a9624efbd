package devices

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/device"
)

// TestAuthenticateDoesNotWaitForTheDisk has a change wait for the disk, in hub.db or in the copy: meanwhile devices connect, and are
// looked up.
func TestAuthenticateDoesNotWaitForTheDisk(t *testing.T) {
	for where, block := range map[string]func(t *testing.T, r *rig) (release func()){
		"hub.db": func(t *testing.T, r *rig) func() {
			begun, end := make(chan struct{}), make(chan struct{})
			go func() {
				if err := r.db.Update(func(*bbolt.Tx) error { close(begun); <-end; return nil }); err != nil {
					t.Error(err)
				}
			}()
			<-begun
			return func() { close(end) }
		},
		"the copy": func(t *testing.T, r *rig) func() {
			fifo := filepath.Join(r.dir, copyName+".new") // opening it waits for a reader
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			return func() {
				if _, err := os.ReadFile(fifo); err != nil {
					t.Error(err)
				}
			}
		},
	} {
		t.Run(where, func(t *testing.T) {
			r := start(t, "", time.Now)
			token := add(t, r, "a", "b")[0]
			release := block(t, r)
			changed := make(chan error, 1)
			go func() { _, err := r.Rotate("b"); changed <- err }()
			time.Sleep(100 * time.Millisecond) // it waits by now
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				wantToken(t, r, token, "a", nil)
				r.Note("a", &device.Hello{Firmware: "2"})
				if d, err := r.Get("a"); err != nil || d.Firmware != "2" || r.Len() != 2 || len(r.All()) != 2 {
					t.Errorf("%+v, %v", d, err)
				}
			}()
			select {
			case <-answered:
			case <-time.After(5 * time.Second):
				t.Error("a device that connects waits for the disk")
			}
			select {
			case err := <-changed:
				t.Errorf("the change did not wait: %v", err)
			default:
			}
			release()
			if err := <-changed; err != nil {
				t.Error(err)
			}
			<-answered
		})
	}
}

// TestNotesDuringAChange notes something of a device while a change of it is being written: neither is lost, in memory or on disk.
func TestNotesDuringAChange(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir, time.Now)
	old := add(t, r, "a")[0]
	r.writing.Lock()
	first, hash := newToken(time.Now())
	c := r.plan(map[string]edit{"a": func(d *Device) *Device { d.Tokens = append(d.Tokens, hash); return d }})
	if err := r.db.Update(c.put); err != nil {
		t.Fatal(err)
	}
	r.Note("a", &device.Hello{Firmware: "2"})
	wantToken(t, r, old, "a", nil) // its first use
	r.mu.Lock()
	r.publish(c)
	r.mu.Unlock()
	r.writing.Unlock()
	for range 2 {
		wantToken(t, r, first, "a", nil)
		d, err := r.Get("a")
		if err != nil || d.Firmware != "2" || len(d.Tokens) != 2 || d.Tokens[0].FirstUsed.IsZero() || d.Tokens[0].Expires.IsZero() {
			t.Errorf("%+v, %v", d, err)
		}
		r.stop(t)
		r = start(t, dir, time.Now)
	}
}

// TestConcurrentUse changes, notes and reads devices at the same time, and finds everything again after a restart.
func TestConcurrentUse(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir, time.Now)
	tokens := add(t, r, "a", "b", "c")
	var newest [3]string
	var wg sync.WaitGroup
	for i, id := range []string{"a", "b", "c"} {
		wg.Go(func() {
			for range 20 {
				token, err := r.Rotate(id)
				if err != nil {
					t.Error(err)
				}
				newest[i] = token
			}
		})
		wg.Go(func() {
			for n := range 200 {
				_, _ = r.Authenticate(tokens[i])
				r.Note(id, &device.Hello{Firmware: string(rune('a' + n%26))})
				r.All()
			}
			r.Note(id, &device.Hello{Firmware: "last"})
		})
	}
	wg.Go(func() {
		for range 20 {
			if err := r.checkpoint(); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	for range 2 {
		for i, id := range []string{"a", "b", "c"} {
			wantToken(t, r, newest[i], id, nil)
			if d, err := r.Get(id); err != nil || d.Firmware != "last" || len(d.Tokens) != 2 {
				t.Errorf("%+v, %v", d, err)
			}
		}
		r.stop(t)
		r = start(t, dir, time.Now)
	}
}
