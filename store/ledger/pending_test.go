package ledger

import "testing"

// TestPendingLettersAreBounded: while hub.db can't be written, no more letters wait than it would keep.
func TestPendingLettersAreBounded(t *testing.T) {
	var p pendingLetters
	letter := func(n int) []DeadLetter { return []DeadLetter{{Position: uint64(n), Message: make([]byte, 1000)}} }
	for n := range maxLetters {
		p.add(letter(n))
	}
	letters := p.before(maxLetters)
	for n := range 5 {
		p.add(letter(maxLetters + n))
	}
	if len(p.list) != maxLetters || p.list[0].Position != 5 || p.bytes != maxLetters*1000 {
		t.Errorf("%d letters wait, the first at %d, %d bytes", len(p.list), p.list[0].Position, p.bytes)
	}
	if p.saved(letters); len(letters) != maxLetters || len(p.list) != 5 || p.list[0].Position != maxLetters || p.bytes != 5000 {
		t.Errorf("%d letters wait after a checkpoint, %d bytes", len(p.list), p.bytes)
	}
	p.add([]DeadLetter{{Message: make([]byte, maxLetterBytes)}})
	if len(p.list) != 1 {
		t.Errorf("%d letters wait", len(p.list))
	}
}
