package outages

import (
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
)

const (
	maxRuns   = 64 // of the hub
	maxSpells = 64 // of one device's connection
	maxLosses = 64 // of one device's frames
)

// hubRun is one time that the hub served devices, ms since 1970.
type hubRun struct {
	_       struct{} `cbor:",toarray"`
	Started int64
	Known   int64 // up to here it is recorded who was connected
	Ended   int64 // 0: it runs; if it was killed, the last time that it is known to have run
	Orderly bool  // it was told to stop, so Ended is when it did
}

// spell is one time that a device was connected, ms since 1970.
type spell struct {
	from, to int64 // to 0: it still is, or was when the hub's run ended
}

// incidents are what explains gaps in a device's readings; part of its account, guarded by Store.mu.
type incidents struct {
	spells   []spell // ascending
	losses   []*loss // in the order they were declared
	sessions int     // open; a new one may begin before the old one has ended
	noted    bool    // changed since the last checkpoint
}

// HubStarted says that devices can connect from now on.
func (s *Store) HubStarted() {
	s.mu.Lock()
	s.endRun(false)
	now := s.now().UnixMilli()
	s.runs = append(s.runs, hubRun{Started: now, Known: now})
	s.runs = slices.Delete(s.runs, 0, max(0, len(s.runs)-maxRuns))
	record := hubdb.Encode(s.runs)
	s.mu.Unlock()
	// Not with the next checkpoint: killed before, it would seem never to have run.
	err := s.db.Update(func(tx *bbolt.Tx) error { return hubdb.Put(tx.Bucket(hubdb.BucketMeta), hubdb.KeyRuns, record) })
	if err != nil {
		s.log.Error("the start of the hub could not be entered in hub.db", "error", err)
	}
}

// HubStopping says that the hub closes the connections of its devices from now on.
func (s *Store) HubStopping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endRun(true)
}

// serving is the run that has not ended, nil if there is none; mu is held.
func (s *Store) serving() *hubRun {
	if n := len(s.runs); n > 0 && s.runs[n-1].Ended == 0 {
		return &s.runs[n-1]
	}
	return nil
}

// endRun ends the run that has not ended; mu is held.
func (s *Store) endRun(orderly bool) {
	r := s.serving()
	if r == nil {
		return
	}
	if r.Orderly = orderly; orderly {
		r.Known = max(r.Started, s.now().UnixMilli())
	}
	r.Ended = max(r.Ended, r.Known)
	for _, a := range s.accounts {
		a.sessions = 0
		a.endSpell(r.Known)
	}
}

// DeviceConnected says that a connection of a device has begun.
func (s *Store) DeviceConnected(deviceID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving() == nil {
		return
	}
	a := s.account(deviceID)
	if a.sessions++; a.sessions > 1 {
		return
	}
	a.spells = append(a.spells, spell{from: s.now().UnixMilli()})
	a.spells = slices.Delete(a.spells, 0, max(0, len(a.spells)-maxSpells))
	a.noted = true
}

// DeviceDisconnected says that a connection of a device has ended. It tells nothing new when the hub stops.
func (s *Store) DeviceDisconnected(deviceID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.accounts[deviceID]
	if a == nil || a.sessions == 0 || s.serving() == nil {
		return
	}
	if a.sessions--; a.sessions == 0 {
		a.endSpell(s.now().UnixMilli())
		a.noted = true
	}
}

func (in *incidents) endSpell(at int64) {
	if n := len(in.spells); n > 0 && in.spells[n-1].to == 0 {
		in.spells[n-1].to = max(in.spells[n-1].from, at)
	}
}

// moveSpells says that the clock was set, by so many ms, in the run of the hub that began at since.
func (in *incidents) moveSpells(since, by int64) {
	for i := range in.spells {
		sp := &in.spells[i]
		if sp.from < since {
			continue
		}
		if sp.from += by; sp.to != 0 {
			sp.to += by
		}
		in.noted = true
	}
}

// incidentNotes are what a checkpoint records of the incidents.
type incidentNotes struct {
	runs     []byte
	accounts []*account
	records  [][]byte
}

// noteIncidents returns what has changed; mu is held.
func (s *Store) noteIncidents() (n incidentNotes) {
	if r := s.serving(); r != nil {
		r.Known = max(r.Known, s.now().UnixMilli())
	}
	n.runs = hubdb.Encode(s.runs)
	for _, a := range s.accounts {
		if a.noted {
			a.noted = false
			n.accounts = append(n.accounts, a)
			n.records = append(n.records, a.incidents.record())
		}
	}
	return n
}

// back has the next checkpoint record what this one could not; mu is held.
func (n *incidentNotes) back() {
	for _, a := range n.accounts {
		a.noted = true
	}
}

func (n *incidentNotes) save(tx *bbolt.Tx) error {
	b := tx.Bucket(hubdb.BucketIncidents)
	for i, a := range n.accounts {
		if err := hubdb.Put(b, []byte(a.device), n.records[i]); err != nil {
			return err
		}
	}
	return hubdb.Put(tx.Bucket(hubdb.BucketMeta), hubdb.KeyRuns, n.runs)
}

// incidentRecord is a device's incidents in hub.db.
type incidentRecord struct {
	_      struct{} `cbor:",toarray"`
	Spells []int64  // from, to, from, to, …, each as the difference to the one before; a to that is 0 as −1
	Losses []loss
}

func (in *incidents) record() []byte {
	var r incidentRecord
	before := int64(0)
	for _, sp := range in.spells {
		length := sp.to - sp.from
		if sp.to == 0 {
			length = -1
		}
		r.Spells = append(r.Spells, sp.from-before, length)
		before = sp.from + max(length, 0)
	}
	for _, l := range in.losses {
		r.Losses = append(r.Losses, *l)
	}
	return hubdb.Encode(&r)
}

func parseIncidents(b []byte) (in incidents, err error) {
	var r incidentRecord
	if err := cbor.Unmarshal(b, &r); err != nil {
		return in, err
	}
	if len(r.Spells)%2 != 0 || len(r.Spells) > 2*maxSpells || len(r.Losses) > maxLosses {
		return in, hubdb.ErrRecord
	}
	before := int64(0)
	for pair := range slices.Chunk(r.Spells, 2) {
		sp := spell{from: before + pair[0]}
		if pair[1] >= 0 {
			sp.to = sp.from + pair[1]
		}
		before = max(sp.from, sp.to)
		in.spells = append(in.spells, sp)
	}
	for i := range r.Losses {
		in.losses = append(in.losses, &r.Losses[i])
	}
	return in, nil
}

// loadIncidents reads the incidents of the devices that have an account.
func (s *Store) loadIncidents(tx *bbolt.Tx) error {
	s.db.One(tx, hubdb.BucketMeta, hubdb.KeyRuns, func(v []byte) error {
		var runs []hubRun
		err := cbor.Unmarshal(v, &runs)
		if err == nil {
			s.runs = runs
		}
		return err
	})
	return s.db.Each(tx, hubdb.BucketIncidents, func(k, v []byte) error {
		in, err := parseIncidents(v)
		if err == nil {
			s.account(string(k)).incidents = in
		}
		return err
	})
}

// endLostRun ends the run of a hub that was killed, when the journal has been read: its last block was written by it. Who
// was connected then is not known, but at its last checkpoint.
func (s *Store) endLostRun() {
	r := s.serving()
	if r != nil {
		for _, segment := range s.journal.Segments() {
			r.Ended = max(r.Ended, millisOf(segment.Newest))
		}
		s.endRun(false)
	}
	for _, a := range s.accounts {
		for i := range a.spells {
			if sp := &a.spells[i]; sp.to == 0 {
				sp.to = s.runEndAfter(sp.from)
			}
		}
	}
}

// runEndAfter is up to when it is known who was connected in the run that a moment is in.
func (s *Store) runEndAfter(at int64) int64 {
	for i := len(s.runs) - 1; i >= 0; i-- {
		if r := &s.runs[i]; r.Started <= at {
			return max(at, r.Known)
		}
	}
	return at
}

// millisOf is t in ms since 1970, 0 for none.
func millisOf(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
