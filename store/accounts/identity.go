package accounts

import (
	"encoding/json"
	"maps"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/secrets"
)

// What an identity was proved with.
const (
	ViaSession = "session"
	ViaKey     = "key"
)

// Identity is somebody who has proved who they are.
type Identity struct {
	Name    string // of the user or of the API key
	Role    Role
	Via     string       // ViaSession or ViaKey
	Hash    secrets.Hash // of the secret
	Expires time.Time    // the latest end of a session; zero for an API key
}

const seenGrain = time.Minute

// lastUse is when a secret was last used, to the minute. It reaches hub.db with the next checkpoint.
type lastUse struct {
	at    atomic.Int64 // s since 1970; 0: never
	noted atomic.Bool  // not in hub.db yet
}

func (l *lastUse) set(now time.Time) {
	if now.Sub(l.time()) >= seenGrain {
		l.at.Store(now.Unix())
		l.noted.Store(true)
	}
}

func (l *lastUse) time() time.Time {
	if at := l.at.Load(); at != 0 {
		return time.Unix(at, 0).UTC()
	}
	return time.Time{}
}

// Identify returns who has this secret, a session's or an API key, or ErrUnauthenticated. It is looked up by its hash, so
// the time taken says nothing about valid ones.
func (a *Accounts) Identify(secret string) (Identity, error) {
	return a.identify(secrets.HashOf(secret))
}

// Recheck returns the identity with its present role, or ErrUnauthenticated if its session or key has ended since. It
// counts as a use: who keeps a page open is not idle.
func (a *Accounts) Recheck(id Identity) (Identity, error) { return a.identify(id.Hash) }

func (a *Accounts) identify(hash secrets.Hash) (Identity, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	now := a.now() // the times of sessions move with it, under mu
	if k := a.keys[hash]; k != nil {
		k.used.set(now)
		return Identity{Name: k.name, Role: k.role, Via: ViaKey, Hash: hash}, nil
	}
	e := a.sessions[hash]
	if e == nil {
		return Identity{}, ErrUnauthenticated
	}
	u, expires := a.users[e.user], e.created.Add(SessionLife)
	if u == nil || !now.Before(expires) || now.Sub(e.seen.time()) >= SessionIdle {
		return Identity{}, ErrUnauthenticated
	}
	e.seen.set(now)
	return Identity{Name: u.Name, Role: u.Role, Via: ViaSession, Hash: hash, Expires: expires}, nil
}

// Remembers tells whether the secret is that of a session of this user, open or expired not too long ago: whoever holds
// it has been logged in before. A session that was ended, by logging out or by a new password, is not remembered.
func (a *Accounts) Remembers(secret, name string) bool {
	hash := secrets.HashOf(secret)
	a.mu.RLock()
	defer a.mu.RUnlock()
	e := a.sessions[hash]
	return e != nil && e.user == UserName(name)
}

// SaveUses writes when sessions and API keys were last used. If the transaction fails, their next use is written.
func (a *Accounts) SaveUses(tx *bbolt.Tx) error {
	a.mu.RLock()
	sessions, keys := maps.Clone(a.sessions), maps.Clone(a.keys)
	a.mu.RUnlock()
	b := tx.Bucket(hubdb.BucketSessions)
	for hash, e := range sessions {
		if !e.seen.noted.Swap(false) || b.Get(hash[:]) == nil { // it may have ended meanwhile
			continue
		}
		value, err := e.record()
		if err != nil {
			return err
		}
		if err := hubdb.Put(b, hash[:], value); err != nil {
			return err
		}
	}
	b = tx.Bucket(hubdb.BucketAPIKeys)
	for _, k := range keys {
		if !k.used.noted.Swap(false) || b.Get([]byte(k.name)) == nil {
			continue
		}
		value, err := json.Marshal(k.record())
		if err != nil {
			return err
		}
		if err := hubdb.Put(b, []byte(k.name), value); err != nil {
			return err
		}
	}
	return nil
}
