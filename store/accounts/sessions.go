package accounts

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/secrets"
)

// The prefixes of secrets.
const (
	sessionPrefix = "ths_"
	apiKeyPrefix  = "thk_"
	codePrefix    = "thl_"
)

// How long a session lives.
const (
	SessionLife = 7 * 24 * time.Hour // since login
	SessionIdle = 24 * time.Hour     // since its last use

	// SessionMemory is how long an ended session still tells that its holder has been logged in before; see Remembers.
	SessionMemory = 30 * 24 * time.Hour
)

const maxSessions = 64 // of one user; the one not used for longest makes room

// session is one login. It is in RAM and in hub.db.
type session struct {
	user    string
	created time.Time
	seen    lastUse
}

// sessionRecord is a session in hub.db.
type sessionRecord struct {
	User    string    `json:"user"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
}

func (e *session) record() ([]byte, error) {
	return json.Marshal(sessionRecord{User: e.user, Created: e.created, Seen: e.seen.time()})
}

func readSession(value []byte) (*session, error) {
	var r sessionRecord
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, err
	}
	e := &session{user: r.User, created: r.Created}
	e.seen.at.Store(r.Seen.Unix())
	return e, nil
}

// CheckPassword returns nil if this is the user's password, ErrUnauthenticated if not, ErrBusy when too many are being
// checked, or the error of ctx. It takes the same time whether the user exists or not.
func (a *Accounts) CheckPassword(ctx context.Context, name, password string) error {
	_, err := a.check(ctx, name, password)
	return err
}

func (a *Accounts) check(ctx context.Context, name, password string) (*user, error) {
	a.mu.RLock()
	u := a.users[UserName(name)]
	a.mu.RUnlock()
	hash := ""
	if u != nil {
		hash = u.Password
	}
	ok, err := a.passwords.matches(ctx, password, hash)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrUnauthenticated
	}
	return u, nil
}

// Login begins a session of the user with this password. The secret is shown once. Errors as of CheckPassword.
func (a *Accounts) Login(ctx context.Context, name, password string) (secret string, id Identity, err error) {
	u, err := a.check(ctx, name, password)
	if err != nil {
		return "", Identity{}, err
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	if now := a.users[u.Name]; now == nil || now.Password != u.Password { // replaced while it was checked
		return "", Identity{}, ErrUnauthenticated
	}
	return a.openSession(u.Name)
}

// OpenSession begins a session of a user who has proved who it is in another way, or returns ErrNoUser.
func (a *Accounts) OpenSession(name string) (secret string, id Identity, err error) {
	a.writing.Lock()
	defer a.writing.Unlock()
	return a.openSession(UserName(name))
}

// openSession begins a session; writing is held.
func (a *Accounts) openSession(name string) (secret string, id Identity, err error) {
	if a.users[name] == nil {
		return "", Identity{}, fmt.Errorf("%w: %s", ErrNoUser, name)
	}
	now := a.now()
	secret, hash := secrets.New(sessionPrefix)
	e := &session{user: name, created: now.UTC()}
	e.seen.at.Store(now.Unix())
	value, err := e.record()
	if err != nil {
		return "", Identity{}, err
	}
	ended := a.surplus(name, now)
	err = a.update(func(tx *bbolt.Tx) error {
		if err := deleteSessions(tx, ended); err != nil {
			return err
		}
		return hubdb.Put(tx.Bucket(hubdb.BucketSessions), hash[:], value)
	})
	if err != nil {
		// On a full disk people have to log in all the more. Such a session ends with the hub.
		a.log.Warn("a session could not be recorded", "user", name, "error", err)
	}
	a.mu.Lock()
	a.drop(ended)
	a.sessions[hash] = e
	a.mu.Unlock()
	id, err = a.identify(hash)
	return secret, id, err
}

// surplus returns the sessions to drop before name gets another one: forgotten ones of anybody, and those of name that
// are too many. writing is held.
func (a *Accounts) surplus(name string, now time.Time) (hashes []secrets.Hash) {
	for hash, e := range a.sessions {
		if now.Sub(e.created) >= SessionLife+SessionMemory {
			hashes = append(hashes, hash)
		}
	}
	own := slices.DeleteFunc(a.sessionsOf(name), func(h secrets.Hash) bool { return slices.Contains(hashes, h) })
	slices.SortFunc(own, func(x, y secrets.Hash) int {
		older := cmp.Compare(a.sessions[x].seen.at.Load(), a.sessions[y].seen.at.Load())
		return cmp.Or(older, a.sessions[x].created.Compare(a.sessions[y].created))
	})
	return append(hashes, own[:max(0, len(own)-(maxSessions-1))]...)
}

// sessionsOf returns the sessions of a user; writing or mu is held.
func (a *Accounts) sessionsOf(name string) (hashes []secrets.Hash) {
	for hash, e := range a.sessions {
		if e.user == name {
			hashes = append(hashes, hash)
		}
	}
	slices.SortFunc(hashes, func(x, y secrets.Hash) int { return bytes.Compare(x[:], y[:]) })
	return hashes
}

// drop forgets sessions in RAM; mu is held.
func (a *Accounts) drop(hashes []secrets.Hash) {
	for _, hash := range hashes {
		delete(a.sessions, hash)
	}
}

func deleteSessions(tx *bbolt.Tx, hashes []secrets.Hash) error {
	b := tx.Bucket(hubdb.BucketSessions)
	for i := range hashes {
		if err := b.Delete(hashes[i][:]); err != nil {
			return err
		}
	}
	return nil
}

// EndSession ends the session with this secret; without one it does nothing.
func (a *Accounts) EndSession(secret string) error {
	hash := secrets.HashOf(secret)
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.sessions[hash] == nil {
		return nil
	}
	a.mu.Lock()
	delete(a.sessions, hash)
	a.mu.Unlock()
	return a.update(func(tx *bbolt.Tx) error { return deleteSessions(tx, []secrets.Hash{hash}) })
}
