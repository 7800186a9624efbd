package accounts

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
)

const (
	minPassword = 8   // characters (NIST SP 800-63B §3.1.1.2)
	maxPassword = 128 // bytes

	// maxPasswordsWaiting is how many passwords may wait for their turn. A check takes tens of milliseconds on a PC and
	// some hundred on a small gateway: whoever came later would wait for seconds.
	maxPasswordsWaiting = 16
)

// argon2Params is one of the equal choices of the OWASP Password Storage Cheat Sheet, the one for little memory.
func argon2Params() *argon2id.Params {
	return &argon2id.Params{Memory: 12 << 10, Iterations: 3, Parallelism: 1, SaltLength: 16, KeyLength: 32} // memory in KiB
}

// passwords computes hashes of passwords, one at a time: each takes 12 MiB.
type passwords struct {
	turn    chan struct{} // capacity 1
	waiting *atomic.Int32
	nobody  string // what the password of a user that does not exist is compared with
}

func newPasswords() passwords {
	p := argon2Params()
	b64 := base64.RawStdEncoding.EncodeToString
	return passwords{
		turn: make(chan struct{}, 1), waiting: new(atomic.Int32),
		nobody: fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s",
			p.Memory, p.Iterations, p.Parallelism, b64(make([]byte, p.SaltLength)), b64(make([]byte, p.KeyLength))),
	}
}

// await takes the turn, or returns ErrBusy or the error of ctx.
func (p *passwords) await(ctx context.Context) error {
	if p.waiting.Add(1) > maxPasswordsWaiting {
		p.waiting.Add(-1)
		return ErrBusy
	}
	defer p.waiting.Add(-1)
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *passwords) hash(ctx context.Context, password string) (string, error) {
	if err := p.await(ctx); err != nil {
		return "", err
	}
	defer func() { <-p.turn }()
	return argon2id.CreateHash(password, argon2Params())
}

// matches tells whether the password belongs to the hash. An empty hash, that of no user, takes as long as any other.
func (p *passwords) matches(ctx context.Context, password, hash string) (bool, error) {
	if len(password) > maxPassword {
		return false, nil
	}
	if err := p.await(ctx); err != nil {
		return false, err
	}
	defer func() { <-p.turn }()
	known := hash != ""
	if !known {
		hash = p.nobody
	}
	ok, err := argon2id.ComparePasswordAndHash(password, hash)
	return ok && known, err
}

// commonPasswords are the ones that are tried first (NIST SP 800-63B §3.1.1.2 asks to refuse them). Guessing is slow, so
// the list need not be long.
var commonPasswords = []string{
	"password", "password1", "password12", "password123", "passw0rd", "p@ssw0rd", "p@ssword", "12345678", "123456789",
	"1234567890", "0123456789", "87654321", "987654321", "11111111", "00000000", "88888888", "12341234", "123123123",
	"11223344", "1q2w3e4r", "1q2w3e4r5t", "1qaz2wsx", "qwertyui", "qwertyuiop", "qwerty12", "qwerty123", "asdfghjk",
	"asdfghjkl", "zaq12wsx", "abcd1234", "abc12345", "a1b2c3d4", "abcdefgh", "iloveyou", "sunshine", "princess",
	"football", "baseball", "superman", "starwars", "trustno1", "whatever", "computer", "internet", "welcome1",
	"letmein1", "admin123", "admin1234", "administrator", "raspberry", "changeme", "telemetry", "telemetry-hub",
}

func checkPassword(user, password string) error {
	lower := strings.ToLower(password)
	switch {
	case utf8.RuneCountInString(password) < minPassword:
		return fmt.Errorf("%w: it is too short, use at least %d characters", ErrBadPassword, minPassword)
	case len(password) > maxPassword:
		return fmt.Errorf("%w: it is too long, use at most %d bytes", ErrBadPassword, maxPassword)
	case lower == user || slices.Contains(commonPasswords, lower):
		return fmt.Errorf("%w: it is among the first that are guessed; use another", ErrBadPassword)
	}
	return nil
}
