package ledger

import (
	"cmp"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

// At most so many dead letters are kept; then the oldest go.
const (
	maxLetters     = 10_000
	maxLetterBytes = 32 << 20 // of messages
)

// DeadLetter is a frame the hub refused to store, or what InfluxDB refused of a stored one.
type DeadLetter struct {
	Position uint64    `json:"position" cbor:"-"` // in the journal; names the letter
	Device   string    `json:"device"`
	Received time.Time `json:"received"`
	Seq      uint64    `json:"seq"`  // 0: unreadable
	Code     uint8     `json:"code"` // device.RejectCode; 0 if Lines is not
	Text     string    `json:"text"`
	Message  []byte    `json:"message"`         // as received; line protocol if Lines is not 0
	Lines    int       `json:"lines,omitempty"` // that InfluxDB refused; the frame itself is stored
}

// decode reads what a checkpoint has written.
func (d *DeadLetter) decode(key, value []byte) error {
	if err := cbor.Unmarshal(value, d); err != nil {
		return err
	}
	position, ok := hubdb.ParseKey8(key)
	if _, err := d.Received.MarshalJSON(); err != nil || !ok {
		return hubdb.ErrRecord
	}
	d.Position = position
	return nil
}

// pendingLetters are those that are not in hub.db yet; guarded by Ledger.mu.
type pendingLetters struct {
	list  []DeadLetter
	bytes int // of messages
}

// add takes letters. If hub.db can't be written, only as many wait as it would keep.
func (p *pendingLetters) add(letters []DeadLetter) {
	p.list = append(p.list, letters...)
	for i := range letters {
		p.bytes += len(letters[i].Message)
	}
	n := 0
	for len(p.list)-n > maxLetters || p.bytes > maxLetterBytes {
		p.bytes -= len(p.list[n].Message)
		n++
	}
	p.list = slices.Delete(p.list, 0, n)
}

// before returns what hub.db has to have with the books up to a cursor. What the hub itself refused behind it, a start finds in the
// journal.
func (p *pendingLetters) before(cursor uint64) (letters []DeadLetter) {
	for _, letter := range p.list {
		if letter.Lines > 0 || letter.Position < cursor {
			letters = append(letters, letter)
		}
	}
	return letters
}

// saved forgets letters that hub.db has now.
func (p *pendingLetters) saved(letters []DeadLetter) {
	saved := make(map[uint64]bool, len(letters))
	for i := range letters {
		saved[letters[i].Position] = true
	}
	p.list = slices.DeleteFunc(p.list, func(letter DeadLetter) bool { return saved[letter.Position] })
	p.bytes = 0
	for i := range p.list {
		p.bytes += len(p.list[i].Message)
	}
}

func putLetters(tx *bbolt.Tx, letters []DeadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	b := tx.Bucket(hubdb.BucketDeadLetters)
	for i := range letters {
		if err := hubdb.Put(b, hubdb.Key8(letters[i].Position), hubdb.Encode(&letters[i])); err != nil {
			return err
		}
	}
	return trimLetters(b)
}

// trimLetters removes the oldest letters above the limits.
func trimLetters(b *bbolt.Bucket) error {
	var count, bytes int
	var old [][]byte
	c := b.Cursor()
	for k, v := c.Last(); k != nil; k, v = c.Prev() {
		count++
		bytes += len(v)
		if count > maxLetters || bytes > maxLetterBytes {
			old = append(old, slices.Clone(k))
		}
	}
	for _, k := range old {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// AddDeadLetters keeps letters, which the next checkpoint writes to hub.db, and returns how many wait for one now.
func (l *Ledger) AddDeadLetters(letters []DeadLetter) (waiting int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.letters.add(letters)
	return len(l.letters.list)
}

// DeadLetters returns at most limit letters with positions above after, oldest first.
func (l *Ledger) DeadLetters(after uint64, limit int) ([]DeadLetter, error) {
	l.mu.Lock()
	pending := slices.Clone(l.letters.list)
	l.mu.Unlock()
	var letters []DeadLetter
	err := l.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(hubdb.BucketDeadLetters).Cursor()
		for k, v := c.Seek(hubdb.Key8(after + 1)); k != nil && len(letters) < limit; k, v = c.Next() {
			var letter DeadLetter
			if value, ok := hubdb.Unseal(k, v); !ok || letter.decode(k, value) != nil {
				continue // the next start reports it
			}
			letters = append(letters, letter)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, letter := range pending {
		if letter.Position > after {
			letters = append(letters, letter)
		}
	}
	slices.SortStableFunc(letters, func(a, b DeadLetter) int { return cmp.Compare(a.Position, b.Position) })
	letters = slices.CompactFunc(letters, func(a, b DeadLetter) bool { return a.Position == b.Position })
	return letters[:min(limit, len(letters))], nil
}

// DropDeadLetters removes the letters at these positions, or all of them for nil, and returns how many there were. Run
// must be running.
func (l *Ledger) DropDeadLetters(positions []uint64) (int, error) {
	// Without a checkpoint a restart would bring the newest letters back.
	if err := l.Checkpoint(); err != nil {
		return 0, err
	}
	dropped := 0
	err := l.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(hubdb.BucketDeadLetters)
		if positions == nil {
			dropped = b.Stats().KeyN
			if err := tx.DeleteBucket(hubdb.BucketDeadLetters); err != nil {
				return err
			}
			_, err := tx.CreateBucket(hubdb.BucketDeadLetters)
			return err
		}
		for _, p := range positions {
			k := hubdb.Key8(p)
			if b.Get(k) == nil {
				continue
			}
			dropped++
			if err := b.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
	return dropped, err
}

// CountDeadLetters counts the letters.
func (l *Ledger) CountDeadLetters() (n int) {
	l.mu.Lock()
	n = len(l.letters.list)
	l.mu.Unlock()
	_ = l.db.View(func(tx *bbolt.Tx) error {
		n += tx.Bucket(hubdb.BucketDeadLetters).Stats().KeyN
		return nil
	})
	return n
}
