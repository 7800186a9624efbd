package certificate

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestOwnCertificate(t *testing.T) {
	r := newRig(t)
	r.ips = []net.IP{net.ParseIP("192.168.1.5"), net.ParseIP("fe80::1"), net.ParseIP("2001:db8::5")}
	r.hosts = []string{"Telemetry.Example.", "10.9.8.7"}
	c := r.open()
	i := c.Info()
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "gw1", "gw1.local", "telemetry.example", "10.9.8.7", "192.168.1.5", "2001:db8::5"} {
		if err := r.trusts(c, i.CA.PEM, name); err != nil {
			t.Error(err)
		}
	}
	if c.Covers("fe80::1") || c.Covers("evil.example") {
		t.Errorf("it is for %v", i.Names)
	}
	leaf := c.served.Load().pair.Leaf
	if life := leaf.NotAfter.Sub(leaf.NotBefore); life > 825*24*time.Hour || life < 365*24*time.Hour || leaf.IsCA || i.SelfSigned {
		t.Errorf("valid for %v, a CA %v, self-signed %v", life, leaf.IsCA, i.SelfSigned)
	}
	ca := c.served.Load().ca
	if !ca.NotBefore.Equal(time.Unix(0, 0)) || ca.NotAfter.Year() < 2099 {
		t.Errorf("the CA is valid from %v to %v", ca.NotBefore, ca.NotAfter)
	}
	if i.TrustFile != r.file("ca.pem") || i.Trust() != string(r.read(i.TrustFile)) || i.PEM != string(r.read(r.file("certificate.pem"))) {
		t.Errorf("the files are not what it says: %+v", i)
	}
	for name, mode := range map[string]os.FileMode{"": 0o700 | os.ModeDir, "ca.pem": 0o644, "ca-key.pem": 0o600, "certificate.pem": 0o644, "key.pem": 0o600} {
		if info, err := os.Stat(r.file(name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	r.wantAlarms()
	r.write(r.file(".new-1"), nil) // a crash left it
	if again := r.open().Info(); again.Fingerprint != i.Fingerprint || again.CA.Fingerprint != i.CA.Fingerprint {
		t.Error("the second start made another")
	}
	r.wantAlarms()
	if files, _ := os.ReadDir(r.file("")); len(files) != 4 {
		t.Errorf("there are %v", files)
	}
}

// Whatever the clock said when the certificate was made, and says now: clients with the right time can verify it.
func TestClockIsSet(t *testing.T) {
	day := 24 * time.Hour
	for name, times := range map[string][2]time.Time{
		"from 1970":                {time.Unix(20, 0), summer},
		"from before 1970":         {time.Unix(-1e9, 0), summer},
		"from ten years ahead":     {summer.AddDate(10, 0, 0), summer},
		"from far ahead":           {time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC), summer},
		"to 1970":                  {summer, time.Unix(20, 0)},
		"to ten years ahead":       {summer, summer.AddDate(10, 0, 0)},
		"to the day before":        {summer, summer.Add(-1 * day)},
		"to two days before":       {summer, summer.Add(-2 * day)},
		"it has run for two years": {summer, summer.Add(796 * day)},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.now = times[0]
			c := r.open()
			before := c.Info()
			r.check(c)
			if c.Info().Fingerprint != before.Fingerprint {
				t.Error("it was renewed although nothing had happened")
			}
			r.now = times[1]
			r.check(c)
			after := c.Info()
			if err := r.trusts(c, before.Trust(), "localhost"); err != nil {
				t.Error(err)
			}
			if after.PublicKey != before.PublicKey {
				t.Error("the key was not kept")
			}
			r.check(c)
			if again := r.open().Info(); c.Info().Fingerprint != after.Fingerprint || again.Fingerprint != after.Fingerprint {
				t.Error("it is renewed again and again")
			}
			r.wantAlarms()
		})
	}
}

func TestClockIsSetWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		set := make(chan time.Time, 1)
		r.now = time.Unix(20, 0)
		config := r.config()
		config.Now = func() time.Time {
			select {
			case r.now = <-set:
			default:
			}
			return r.now
		}
		c, err := Open(config)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		ca := c.Info().Trust()
		set <- summer
		time.Sleep(time.Minute) // of the bubble
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := r.trusts(c, ca, "localhost"); err != nil {
			t.Error(err)
		}
	})
}

// A certificate made before the network is up gets the addresses later. What comes and goes does not have it renewed each time.
func TestAddressesCome(t *testing.T) {
	r := newRig(t)
	c := r.open()
	before := c.Info()
	a, b := net.ParseIP("192.168.1.5"), net.ParseIP("10.0.0.5")
	r.ips = []net.IP{a}
	r.check(c)
	r.ips, r.name = []net.IP{b}, "gw2"
	r.check(c)
	both := c.Info()
	for _, name := range []string{a.String(), b.String(), "gw1", "gw2"} {
		if err := r.trusts(c, before.Trust(), name); err != nil {
			t.Error(err)
		}
	}
	if both.PublicKey != before.PublicKey {
		t.Error("the key was not kept")
	}
	for _, ips := range [][]net.IP{{a}, nil, {b}, {a, b}} {
		r.ips = ips
		if r.check(c); c.Info().Fingerprint != both.Fingerprint {
			t.Errorf("renewed for %v", ips)
		}
	}
	r.ips = nil
	if err := c.Renew(); err != nil || c.Covers("10.0.0.5") || c.Info().PublicKey != before.PublicKey {
		t.Errorf("renewed, it is for %v: %v", c.Info().Names, err)
	}
}

func TestMachinesWithManyAddresses(t *testing.T) {
	r := newRig(t)
	for n := range 3000 {
		r.ips = append(r.ips, net.IPv4(10, 0, byte(n>>8), byte(n)))
	}
	r.hosts = []string{"hub.example"}
	c := r.open()
	for range 3 {
		slices.Reverse(r.ips)
		r.check(c)
	}
	i := c.Info()
	if len(i.Names) != maxNames || !c.Covers("hub.example") || !c.Covers("localhost") || len(i.PEM) > 4096 {
		t.Errorf("%d names in %d bytes", len(i.Names), len(i.PEM))
	}
}

// A kernel takes any bytes as the machine's name.
func TestNamesThatNoCertificateCanHave(t *testing.T) {
	for _, name := range []string{"", "köln", "a b", "-gw", "gw-", "a..b", "*", "*.example", "\xff\xfe", "gw\n", "x\x00y", "127.1", "0x7f.1", strings.Repeat("a", 64), "(none)", "under_score", "GW.Example.ORG"} {
		r := newRig(t)
		r.name, r.hosts = name, []string{name}
		c := r.open()
		if err := r.trusts(c, c.Info().Trust(), "localhost"); err != nil {
			t.Errorf("machine %q: %v", name, err)
		}
		allowed := name == "under_score" || name == "GW.Example.ORG"
		if got := len(c.Info().Names) > 3; got != allowed {
			t.Errorf("machine %q: the certificate is for %q", name, c.Info().Names)
		}
		if said := strings.Contains(r.log.String(), "no certificate can have this name"); said != !allowed {
			t.Errorf("configured name %q: the log says %s", name, r.log.String())
		}
	}
}
