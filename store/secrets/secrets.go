// Package secrets makes what devices, people and scripts prove themselves with: a prefix, by which leak scanners can know it, and
// 256 random bits in base64url. The hub keeps the hash only.
package secrets

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// Hash is the SHA-256 of a secret. Secrets are looked up by it, so the time taken says nothing about valid ones.
type Hash [sha256.Size]byte

// New returns a new secret.
func New(prefix string) (secret string, hash Hash) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	secret = prefix + base64.RawURLEncoding.EncodeToString(random[:])
	return secret, HashOf(secret)
}

// HashOf returns the hash of a secret.
func HashOf(secret string) Hash { return sha256.Sum256([]byte(secret)) }

// MarshalText writes the hash in hexadecimal digits.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(b []byte) error {
	if hex.DecodedLen(len(b)) != len(h) {
		return fmt.Errorf("a hash has %d hexadecimal digits", hex.EncodedLen(len(h)))
	}
	_, err := hex.Decode(h[:], b)
	return err
}
