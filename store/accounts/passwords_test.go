package accounts

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// A password takes 12 MiB and a core for a while: one is computed at a time, few wait, and whoever leaves makes room.
func TestPasswordsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPasswords()
		p.turn <- struct{}{} // one is being computed
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, maxPasswordsWaiting)
		for range maxPasswordsWaiting {
			go func() {
				_, err := p.matches(ctx, "wrong", "")
				left <- err
			}()
		}
		synctest.Wait()
		if _, err := p.matches(t.Context(), "wrong", ""); !errors.Is(err, ErrBusy) {
			t.Errorf("one more than may wait: %v", err)
		}
		if _, err := p.hash(t.Context(), "wrong"); !errors.Is(err, ErrBusy) {
			t.Errorf("one more than may wait: %v", err)
		}
		leave()
		for range maxPasswordsWaiting {
			if err := <-left; !errors.Is(err, context.Canceled) {
				t.Errorf("one who left: %v", err)
			}
		}
		<-p.turn
		if ok, err := p.matches(t.Context(), "wrong", ""); ok || err != nil {
			t.Errorf("when all have left: %t, %v", ok, err)
		}
		hash, err := p.hash(t.Context(), "right")
		if err != nil {
			t.Fatal(err)
		}
		for password, want := range map[string]bool{"right": true, "wrong": false} {
			if ok, err := p.matches(t.Context(), password, hash); ok != want || err != nil {
				t.Errorf("%s: %t, %v", password, ok, err)
			}
		}
		if _, err := p.matches(t.Context(), "right", "$argon2id$"); err == nil {
			t.Error("a hash that is none is no error")
		}
	})
}
