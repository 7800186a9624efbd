// Package accounts holds who may use the hub: users with their sessions, and API keys.
package accounts

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/alarms"
	"github.com/telemetry-hub/telemetry-hub/store/hubdb"
	"github.com/telemetry-hub/telemetry-hub/store/secrets"
	"github.com/telemetry-hub/telemetry-hub/store/wallclock"
)

// Errors about accounts a caller decides on.
var (
	ErrUnauthenticated = errors.New("the credentials are not valid")
	ErrBusy            = errors.New("too many passwords are being checked")
	ErrNoUser          = errors.New("no such user")
	ErrUserExists      = errors.New("the user exists already")
	ErrLastAdmin       = errors.New("nobody else is an admin")
	ErrBadRole         = errors.New("bad role")
	ErrBadPassword     = errors.New("bad password")
	ErrNoAPIKey        = errors.New("no such API key")
	ErrAPIKeyExists    = errors.New("the API key exists already")
	ErrSetupDone       = errors.New("there are users already")
)

// Role is what somebody may do. Each role may do what the ones before it may.
type Role string

// The roles, from least to most.
const (
	RoleViewer   Role = "viewer"   // see everything
	RoleOperator Role = "operator" // send commands
	RoleAdmin    Role = "admin"    // devices, users, API keys
)

var roles = []Role{RoleViewer, RoleOperator, RoleAdmin}

// Allows tells whether who has role r may do what needs the role need.
func (r Role) Allows(need Role) bool {
	have := slices.Index(roles, r)
	return have >= 0 && have >= slices.Index(roles, need) && slices.Contains(roles, need)
}

// ParseRole returns the role of this name, or an error that wraps ErrBadRole.
func ParseRole(s string) (Role, error) {
	if r := Role(s); slices.Contains(roles, r) {
		return r, nil
	}
	return "", fmt.Errorf("%w %q: there are viewer, operator and admin", ErrBadRole, s)
}

// Accounts is who may use the hub. Users, API keys and sessions are in memory and in hub.db, one-time codes in memory only.
type Accounts struct {
	// static
	db        *hubdb.DB
	clock     *wallclock.Clock
	times     *wallclock.View  // what times in sessions are by; moved with them, under mu
	now       func() time.Time // of times
	log       *slog.Logger
	passwords passwords

	writing       sync.Mutex  // held by whoever changes anything below, while it is written; Identify must not wait for a disk
	clockRecorded bool        // hub.db knows what times are by
	copy          *hubdb.Copy // guarded by writing

	// guarded by mu; who holds writing may read without it
	mu       sync.RWMutex
	users    map[string]*user
	keys     map[secrets.Hash]*apiKey
	sessions map[secrets.Hash]*session
	setup    secrets.Hash            // of the code that makes the first user; zero: none
	codes    map[secrets.Hash]string // one-time codes → user
}

// Open reads the accounts in db. Their copy is in dir.
func Open(dir string, db *hubdb.DB, clock *wallclock.Clock, alarms *alarms.List, log *slog.Logger) (*Accounts, error) {
	times := clock.View()
	a := &Accounts{
		db: db, clock: clock, times: times, now: times.Now, log: log, passwords: newPasswords(),
		copy:  hubdb.NewCopy(filepath.Join(dir, copyName), "users and API keys", alarms),
		users: map[string]*user{}, keys: map[secrets.Hash]*apiKey{}, sessions: map[secrets.Hash]*session{}, codes: map[secrets.Hash]string{},
	}
	return a, a.db.View(func(tx *bbolt.Tx) error {
		a.clockRecorded = a.db.LoadClock(tx, hubdb.KeySessionsClock, a.clock, a.times)
		return errors.Join(
			a.db.Each(tx, hubdb.BucketUsers, func(name, v []byte) error {
				u := new(user)
				if err := json.Unmarshal(v, u); err != nil || !u.valid() || u.Name != string(name) {
					return errors.Join(err, hubdb.ErrRecord)
				}
				a.users[u.Name] = u
				return nil
			}),
			a.db.Each(tx, hubdb.BucketAPIKeys, func(name, v []byte) error {
				k, err := readAPIKey(v)
				if err != nil || k.name != string(name) {
					return errors.Join(err, hubdb.ErrRecord)
				}
				a.keys[k.hash] = k
				return nil
			}),
			a.db.Each(tx, hubdb.BucketSessions, func(key, v []byte) error {
				e, err := readSession(v)
				if err != nil || len(key) != len(secrets.Hash{}) || checkUserName(e.user) != nil {
					return errors.Join(err, hubdb.ErrRecord)
				}
				a.sessions[secrets.Hash(key)] = e
				return nil
			}),
		)
	})
}

func (a *Accounts) update(f func(*bbolt.Tx) error) error {
	if err := a.db.Update(f); err != nil {
		return fmt.Errorf("write the accounts: %w", err)
	}
	return nil
}
