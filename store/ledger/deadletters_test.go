package ledger_test

import (
	"fmt"
	"testing"

	"github.com/telemetry-hub/telemetry-hub/device"
	"github.com/telemetry-hub/telemetry-hub/store"
)

func letters(t *testing.T, s *store.Store) (list []string) {
	t.Helper()
	var after uint64
	for {
		page, err := s.Ledger.DeadLetters(after, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return list
		}
		for _, letter := range page {
			if letter.Position <= after || letter.Device != "a" || letter.Received.IsZero() {
				t.Fatalf("letter %+v after %d", letter, after)
			}
			after = letter.Position
			list = append(list, fmt.Sprintf("%d %d %s %x", letter.Seq, letter.Code, letter.Text, letter.Message))
		}
	}
}

func TestDeadLetters(t *testing.T) {
	h := start(t, store.Options{})
	c := connect(t, h, "a", 1)
	reject := func(seq uint64) {
		t.Helper()
		message := []byte{3, byte(seq)}
		if err := c.Reject(t.Context(), seq, device.RejectBadValue, "why", message); err != nil {
			t.Fatal(err)
		}
		message[1] = 0xee // the session reuses its buffer
	}
	want := func(s *store.Store, seqs ...uint64) {
		t.Helper()
		var want []string
		for _, seq := range seqs {
			want = append(want, fmt.Sprintf("%d 3 why 03%02x", seq, seq))
		}
		if got := letters(t, s); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("dead letters %q, want %q", got, want)
		}
		if got := s.Status().DeadLetters; got != len(seqs) {
			t.Errorf("status counts %d, want %d", got, len(seqs))
		}
	}
	for seq := range uint64(5) {
		reject(seq + 1)
	}
	reject(2) // again: a duplicate now
	c.Await(1, 2, 3, 4, 5)
	want(h, 1, 2, 3, 4, 5)
	if err := h.Ledger.Checkpoint(); err != nil { // the duplicate is settled, too
		t.Fatal(err)
	}
	if got := h.Ledger.Books("a"); got.Rejected != 5 || got.Duplicates != 1 {
		t.Errorf("books %+v", got)
	}
	reject(6) // in the journal only
	c.Await(6)
	want(h, 1, 2, 3, 4, 5, 6)
	want(start(t, store.Options{Dir: copyDir(t, h.Dir())}), 1, 2, 3, 4, 5, 6)

	list, err := h.Ledger.DeadLetters(0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := h.Ledger.DropDeadLetters([]uint64{list[1].Position, list[5].Position, 999_999}); n != 2 || err != nil {
		t.Errorf("dropped %d, %v", n, err)
	}
	want(h, 1, 3, 4, 5)
	want(start(t, store.Options{Dir: copyDir(t, h.Dir())}), 1, 3, 4, 5)
	if n, err := h.Ledger.DropDeadLetters(nil); n != 4 || err != nil {
		t.Errorf("dropped %d, %v", n, err)
	}
	want(h)
}

func TestDeadLettersAreBounded(t *testing.T) {
	h := start(t, store.Options{})
	c := connect(t, h, "a", 1)
	const sent = 10_050
	for seq := range uint64(sent) {
		if err := c.Reject(t.Context(), seq+1, device.RejectBadValue, "why", []byte{3}); err != nil {
			t.Fatal(err)
		}
	}
	c.Await(sent)
	if err := h.Ledger.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	list, err := h.Ledger.DeadLetters(0, sent)
	if err != nil || len(list) != 10_000 || list[0].Seq != 51 {
		t.Errorf("%d letters, %v", len(list), err)
	}
	if got := h.Ledger.Books("a").Rejected; got != sent {
		t.Errorf("rejected %d, want %d", got, sent)
	}
}
