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

// TestLettersOfACheckpoint: what the hub refused behind the books of a checkpoint stays for the next one, since a start finds it in the
// journal; what InfluxDB refused does not, since a start would not export it again.
func TestLettersOfACheckpoint(t *testing.T) {
	var p pendingLetters
	p.add([]DeadLetter{{Position: 3}, {Position: 9, Message: []byte("abc")}, {Position: 12, Lines: 1}})
	letters := p.before(9)
	if len(letters) != 2 || letters[0].Position != 3 || letters[1].Position != 12 {
		t.Errorf("letters %+v", letters)
	}
	p.add([]DeadLetter{{Position: 20}}) // while the checkpoint is written
	if p.saved(letters); len(p.list) != 2 || p.list[0].Position != 9 || p.list[1].Position != 20 || p.bytes != 3 {
		t.Errorf("%d bytes are left in %+v", p.bytes, p.list)
	}
}
