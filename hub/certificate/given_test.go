package certificate

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// givenFiles are a certificate and a key as an operator has them.
func (r *rig) givenFiles() (cert, key string) {
	r.Helper()
	from := newRig(r.T)
	from.open()
	cert, key = filepath.Join(r.dir, "cert.pem"), filepath.Join(r.dir, "privkey.pem")
	r.write(cert, from.read(from.file("certificate.pem")))
	r.write(key, from.read(from.file("key.pem")))
	return cert, key
}

func TestGivenCertificate(t *testing.T) {
	r := newRig(t)
	cert, key := r.givenFiles()
	if _, err := r.openGiven(cert, ""); err == nil {
		t.Error("a certificate without a key was accepted")
	}
	if _, err := r.openGiven(cert+"x", key); err == nil || !strings.Contains(err.Error(), cert+"x") {
		t.Errorf("a missing file: %v", err)
	}
	r.write(key, append([]byte("\ufeff"), r.read(key)...)) // as Windows writes it
	c, err := r.openGiven(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	one := c.Info()
	if one.PEM != string(r.read(cert)) || one.CA != nil || one.TrustFile != cert {
		t.Errorf("%+v", one)
	}
	if err := c.Renew(); err != ErrGiven {
		t.Errorf("renew: %v", err)
	}
	r.wantAlarms()

	r.write(key, nil)
	if err := c.Reload(); err == nil || c.Info().Fingerprint != one.Fingerprint {
		t.Errorf("a key of nothing: %v", err)
	}
	r.wantAlarms(alarmReload)
	r.check(c)
	r.wantAlarms(alarmReload)
	r.givenFiles()
	if err := c.Reload(); err != nil || c.Info().Fingerprint == one.Fingerprint {
		t.Errorf("reload: %v", err)
	}
	r.wantAlarms()
	if _, err := os.Stat(r.file("")); err == nil {
		t.Error("a certificate was made although one was given")
	}
}

func TestDatesOfAGivenCertificate(t *testing.T) {
	r := newRig(t)
	cert, key := r.givenFiles()
	c, err := r.openGiven(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := c.Info().NotBefore, c.Info().NotAfter
	for _, step := range []struct {
		now  time.Time
		want string // "": no alarm
	}{
		{begin, ""}, {begin.Add(-time.Minute), "not valid yet"}, {end.AddDate(0, 0, -22), ""}, {end.AddDate(0, 0, -20), "expires on"},
		{end.Add(time.Minute), "expired on"}, {begin, ""},
	} {
		r.now = step.now
		r.check(c)
		if text := r.alarms[alarmUse]; !strings.Contains(text, step.want) || (text == "") != (step.want == "") {
			t.Errorf("at %v: %q", step.now, text)
		}
		now := r.alarms[alarmUse]
		if _, err := r.openGiven(cert, key); err != nil || r.alarms[alarmUse] != now {
			t.Errorf("a start at %v: %v, %q", step.now, err, r.alarms)
		}
	}
}

// A pipe would hold up whoever reads it for ever, and with it what SIGTERM asks for.
func TestPipesAsFiles(t *testing.T) {
	r := newRig(t)
	cert, key := r.givenFiles()
	c, err := r.openGiven(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{cert, key} {
		r.givenFiles()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := c.Reload(); err == nil || !strings.Contains(err.Error(), path+" is not a regular file") {
			t.Errorf("reload: %v", err)
		}
		if _, err := r.openGiven(cert, key); err == nil || !strings.Contains(err.Error(), path+" is not a regular file") {
			t.Errorf("open: %v", err)
		}
		os.Remove(path)
	}
}

func TestKeysThatOthersCanRead(t *testing.T) {
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o644: true, 0o622: true} {
		r := newRig(t)
		cert, key := r.givenFiles()
		if err := os.Chmod(key, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := r.openGiven(cert, key); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(r.log.String(), "other users may read"); got != warned {
			t.Errorf("mode %v: the log says %q", mode, r.log.String())
		}
		t.Setenv("CREDENTIALS_DIRECTORY", r.dir) // systemd's credentials have the mode 0440 and an access control list
		quiet := newRig(t)
		quiet.dir = r.dir
		if _, err := quiet.openGiven(cert, key); err != nil || quiet.log.String() != "" {
			t.Errorf("mode %v, as a credential: %v %s", mode, err, quiet.log.String())
		}
		os.Unsetenv("CREDENTIALS_DIRECTORY")
	}
}
