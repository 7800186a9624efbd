package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strings"
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

// User is a person who may log in.
type User struct {
	Name    string    `json:"name"` // lower case
	Role    Role      `json:"role"`
	Created time.Time `json:"created"`
}

// user is a User as it is kept. It is replaced, never changed.
type user struct {
	User
	Password string `json:"password"` // argon2id, in PHC format
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

var userPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]*$`)

const maxUserName = 64 // bytes

// UserName is a user's name as it is kept and compared: phones like to begin with a capital.
func UserName(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

func checkUserName(name string) error {
	if len(name) > maxUserName || !userPattern.MatchString(name) {
		return fmt.Errorf("%w: user %q: use 1 to %d letters, digits, dots, dashes, underscores, @ and +, beginning with a letter or digit",
			ErrBadName, name, maxUserName)
	}
	return nil
}

// Users returns all users, sorted by name.
func (s *Store) Users() []User {
	a := &s.access
	a.mu.RLock()
	defer a.mu.RUnlock()
	list := make([]User, 0, len(a.users))
	for _, name := range slices.Sorted(maps.Keys(a.users)) {
		list = append(list, a.users[name].User)
	}
	return list
}

// User returns a user or ErrNoUser.
func (s *Store) User(name string) (User, error) {
	name = UserName(name)
	a := &s.access
	a.mu.RLock()
	defer a.mu.RUnlock()
	if u := a.users[name]; u != nil {
		return u.User, nil
	}
	return User{}, fmt.Errorf("%w: %s", ErrNoUser, name)
}

// HasUsers tells whether anybody may log in.
func (s *Store) HasUsers() bool {
	a := &s.access
	a.mu.RLock()
	defer a.mu.RUnlock()
	return len(a.users) > 0
}

// AddUser makes a user. The name is taken in lower case. Errors wrap ErrBadName, ErrBadRole, ErrBadPassword or
// ErrUserExists.
func (s *Store) AddUser(name, password string, role Role) error {
	u, err := s.access.newUser(context.Background(), name, password, role)
	if err != nil {
		return err
	}
	a := &s.access
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.users[u.Name] != nil {
		return fmt.Errorf("%w: %s", ErrUserExists, u.Name)
	}
	return a.putUser(u)
}

// newUser checks what a user is to be made of, and computes the hash of the password.
func (a *access) newUser(ctx context.Context, name, password string, role Role) (*user, error) {
	name = UserName(name)
	if err := checkUserName(name); err != nil {
		return nil, err
	}
	if _, err := ParseRole(string(role)); err != nil {
		return nil, err
	}
	if err := checkPassword(name, password); err != nil {
		return nil, err
	}
	hash, err := a.passwords.hash(ctx, password)
	if err != nil {
		return nil, err
	}
	return &user{User{Name: name, Role: role, Created: a.now().UTC()}, hash}, nil
}

// SetPassword replaces a user's password and ends the user's sessions. Errors wrap ErrNoUser or ErrBadPassword.
func (s *Store) SetPassword(name, password string) error {
	u, err := s.User(name)
	if err != nil {
		return err
	}
	if err := checkPassword(u.Name, password); err != nil {
		return err
	}
	a := &s.access
	hash, err := a.passwords.hash(context.Background(), password)
	if err != nil {
		return err
	}
	a.writing.Lock()
	defer a.writing.Unlock()
	old := a.users[u.Name]
	if old == nil {
		return fmt.Errorf("%w: %s", ErrNoUser, u.Name)
	}
	return a.putUser(&user{old.User, hash}, a.sessionsOf(u.Name)...)
}

// SetRole gives a user another role, which sessions that are open have at once. Unless force, the last admin stays one:
// ErrLastAdmin. Other errors wrap ErrNoUser or ErrBadRole.
func (s *Store) SetRole(name string, role Role, force bool) error {
	if _, err := ParseRole(string(role)); err != nil {
		return err
	}
	name = UserName(name)
	a := &s.access
	a.writing.Lock()
	defer a.writing.Unlock()
	old := a.users[name]
	if old == nil {
		return fmt.Errorf("%w: %s", ErrNoUser, name)
	}
	if role != RoleAdmin && !force && a.lastAdmin(name) {
		return fmt.Errorf("%w: %s", ErrLastAdmin, name)
	}
	u := *old
	u.Role = role
	return a.putUser(&u)
}

// RemoveUser removes a user and ends the user's sessions. Unless force, the last admin stays: ErrLastAdmin. Other errors
// wrap ErrNoUser.
func (s *Store) RemoveUser(name string, force bool) error {
	name = UserName(name)
	a := &s.access
	a.writing.Lock()
	defer a.writing.Unlock()
	if a.users[name] == nil {
		return fmt.Errorf("%w: %s", ErrNoUser, name)
	}
	if !force && a.lastAdmin(name) {
		return fmt.Errorf("%w: %s", ErrLastAdmin, name)
	}
	ended := a.sessionsOf(name)
	err := a.update(func(tx *bbolt.Tx) error {
		return errors.Join(tx.Bucket(bucketUsers).Delete([]byte(name)), deleteSessions(tx, ended))
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	delete(a.users, name)
	a.drop(ended)
	maps.DeleteFunc(a.codes, func(_ TokenHash, user string) bool { return user == name })
	a.mu.Unlock()
	a.copy()
	return nil
}

// lastAdmin tells whether name is the only admin; writing is held.
func (a *access) lastAdmin(name string) bool {
	for _, u := range a.users {
		if u.Role == RoleAdmin && u.Name != name {
			return false
		}
	}
	return a.users[name].Role == RoleAdmin
}

// putUser adds or replaces a user and ends sessions; writing is held.
func (a *access) putUser(u *user, ended ...TokenHash) error {
	value, err := json.Marshal(u)
	if err != nil {
		return err
	}
	err = a.update(func(tx *bbolt.Tx) error {
		return errors.Join(put(tx.Bucket(bucketUsers), []byte(u.Name), value), deleteSessions(tx, ended))
	})
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.users[u.Name] = u
	a.setup = TokenHash{}
	a.drop(ended)
	a.mu.Unlock()
	a.copy()
	return nil
}

func (a *access) update(f func(*bbolt.Tx) error) error {
	if err := a.db.Update(f); err != nil {
		return fmt.Errorf("write the accounts: %w", err)
	}
	return nil
}
