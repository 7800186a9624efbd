package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/telemetry-hub/telemetry-hub/store/boltfile"
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

// access is who may use the hub. Users, API keys and sessions are in RAM and in hub.db, one-time codes in RAM only.
type access struct {
	// static
	db        *boltfile.File
	dir       string
	now       func() time.Time
	log       *slog.Logger
	alarms    *alarms
	passwords passwords

	writing sync.Mutex // held by who changes anything below; Identify must not wait for a disk

	// guarded by mu; who holds writing may read without it
	mu       sync.RWMutex
	users    map[string]*user
	keys     map[TokenHash]*apiKey
	sessions map[TokenHash]*session
	setup    TokenHash            // of the code that makes the first user; zero: none
	codes    map[TokenHash]string // one-time codes → user
}

// load reads the accounts; from the copy, if hub.db is new and has none.
func (a *access) load() (restored int, err error) {
	a.users, a.keys, a.sessions = map[string]*user{}, map[TokenHash]*apiKey{}, map[TokenHash]*session{}
	a.codes = map[TokenHash]string{}
	a.passwords = newPasswords()
	if restored, err = a.restore(); err != nil {
		return 0, err
	}
	err = a.db.View(func(tx *bbolt.Tx) error {
		return errors.Join(
			each(tx.Bucket(bucketUsers), func(_, v []byte) error {
				u := new(user)
				if err := json.Unmarshal(v, u); err != nil {
					return fmt.Errorf("a user in hub.db: %w", err)
				}
				a.users[u.Name] = u
				return nil
			}),
			each(tx.Bucket(bucketAPIKeys), func(_, v []byte) error {
				k, err := readAPIKey(v)
				if err != nil {
					return fmt.Errorf("an API key in hub.db: %w", err)
				}
				a.keys[k.hash] = k
				return nil
			}),
			each(tx.Bucket(bucketSessions), func(key, v []byte) error {
				e, err := readSession(v)
				if err != nil {
					return fmt.Errorf("a session in hub.db: %w", err)
				}
				var hash TokenHash
				copy(hash[:], key)
				a.sessions[hash] = e
				return nil
			}),
		)
	})
	if err != nil {
		return 0, err
	}
	a.copy()
	return restored, nil
}

func (a *access) update(f func(*bbolt.Tx) error) error {
	if err := a.db.Update(f); err != nil {
		return fmt.Errorf("write the accounts: %w", err)
	}
	return nil
}
