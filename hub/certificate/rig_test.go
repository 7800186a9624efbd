package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// rig is a hub's surroundings: its directory, clock, machine, and what it says.
type rig struct {
	*testing.T
	dir    string
	now    time.Time
	name   string
	ips    []net.IP
	hosts  []string
	alarms map[string]string
	log    lines
}

var summer = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func newRig(t *testing.T) *rig {
	return &rig{T: t, dir: t.TempDir(), now: summer, name: "gw1", alarms: map[string]string{}}
}

func (r *rig) config() Config {
	return Config{
		DataDir: r.dir, Hosts: r.hosts, Now: func() time.Time { return r.now }, Logger: slog.New(slog.NewTextHandler(&r.log, nil)),
		Alarm: func(key, text string) {
			if r.alarms[key] = text; text == "" {
				delete(r.alarms, key)
			}
		},
		machine: func() (string, []net.IP) { return r.name, r.ips },
	}
}

// open is a start of the hub.
func (r *rig) open() *Certificate {
	r.Helper()
	clear(r.alarms)
	c, err := Open(r.config())
	if err != nil {
		r.Fatal(err)
	}
	return c
}

// openGiven is a start with files of the operator's.
func (r *rig) openGiven(cert, key string) (*Certificate, error) {
	clear(r.alarms)
	config := r.config()
	config.CertFile, config.KeyFile = cert, key
	return Open(config)
}

func (r *rig) file(name string) string { return filepath.Join(r.dir, "tls", name) }

// check is what Run does now and then.
func (r *rig) check(c *Certificate) {
	c.served.Store(c.source.check())
}

// trusts reports whether a client with this PEM and the hub's clock would connect to name.
func (r *rig) trusts(c *Certificate, ca, name string) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(ca)) {
		r.Fatal("no PEM")
	}
	shown, err := c.TLSConfig().GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		r.Fatal(err)
	}
	_, err = shown.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: r.now})
	return err
}

// wantAlarms checks which alarms there are.
func (r *rig) wantAlarms(keys ...string) {
	r.Helper()
	slices.Sort(keys)
	if got := slices.Sorted(maps.Keys(r.alarms)); !slices.Equal(got, keys) {
		r.Errorf("the alarms are %q, want %q", r.alarms, keys)
	}
}

func (r *rig) read(path string) []byte {
	r.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		r.Fatal(err)
	}
	return b
}

func (r *rig) write(path string, b []byte) {
	r.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		r.Fatal(err)
	}
}

// lines is a log.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
