package accounts

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/store/alarms"
)

func TestCopyOfAccounts(t *testing.T) {
	h := start(t, "", time.Now)
	h.addUser(t, "kim", RoleAdmin)
	h.addUser(t, "lee", RoleOperator)
	key, err := h.AddAPIKey("script", RoleViewer)
	if err != nil {
		t.Fatal(err)
	}
	secret, _ := h.login(t, "kim", password)
	copied := filepath.Join(h.dir, "users.json")
	info, err := os.Stat(copied)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	both, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.RemoveUser("lee", false); err != nil {
		t.Fatal(err)
	}
	h.stop(t)
	for _, name := range []string{"hub.db", "users.json"} {
		b, err := os.ReadFile(filepath.Join(h.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{key, secret, password} {
			if strings.Contains(string(b), strings.TrimPrefix(strings.TrimPrefix(s, "thk_"), "ths_")) {
				t.Errorf("%s holds a secret", name)
			}
		}
	}

	t.Run("hub.db lost", func(t *testing.T) {
		dir := copyDir(t, h.dir)
		if err := os.Remove(filepath.Join(dir, "hub.db")); err != nil {
			t.Fatal(err)
		}
		h := start(t, dir, time.Now)
		h.login(t, "kim", password)
		h.wantIdentity(t, key, "script", RoleViewer)
		h.wantIdentity(t, secret, "", "")
		if _, err := h.NewSetupCode(); !errors.Is(err, ErrSetupDone) {
			t.Errorf("a setup after the loss: %v", err)
		}
		if active := h.alarms.All(); !slices.ContainsFunc(active, func(a alarms.Alarm) bool { return strings.Contains(a.Text, "users.json") }) {
			t.Errorf("alarms: %v", active)
		}
	})
	// A copy that could not be written after lee was removed must not bring lee back: hub.db knows better, and the copy is
	// written again.
	t.Run("old copy", func(t *testing.T) {
		dir := copyDir(t, h.dir)
		if err := os.WriteFile(filepath.Join(dir, "users.json"), both, 0o600); err != nil {
			t.Fatal(err)
		}
		h := start(t, dir, time.Now)
		if _, err := h.User("lee"); !errors.Is(err, ErrNoUser) {
			t.Errorf("lee: %v", err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "users.json")); err != nil || strings.Contains(string(b), "lee") {
			t.Errorf("the copy is %s, %v", b, err)
		}
	})
	// Removing the last of them is not the same as never having had any.
	t.Run("nobody left", func(t *testing.T) {
		dir := copyDir(t, h.dir)
		h := start(t, dir, time.Now)
		if err := errors.Join(h.RemoveUser("kim", true), h.RemoveAPIKey("script")); err != nil {
			t.Fatal(err)
		}
		h.stop(t)
		if err := os.WriteFile(filepath.Join(dir, "users.json"), both, 0o600); err != nil {
			t.Fatal(err)
		}
		if h := start(t, dir, time.Now); h.HasUsers() || len(h.APIKeys()) > 0 {
			t.Errorf("there are %v, %v", h.Users(), h.APIKeys())
		}
	})
	t.Run("copy can't be written", func(t *testing.T) {
		dir := copyDir(t, h.dir)
		h := start(t, dir, time.Now)
		if err := errors.Join(os.Remove(filepath.Join(dir, "users.json")), os.Mkdir(filepath.Join(dir, "users.json"), 0o700)); err != nil {
			t.Fatal(err)
		}
		h.addUser(t, "park", RoleViewer)
		h.login(t, "park", password)
		if alarms := h.alarms.All(); len(alarms) != 1 || !strings.Contains(alarms[0].Text, "users.json") {
			t.Errorf("alarms: %v", alarms)
		}
		if err := os.Remove(filepath.Join(dir, "users.json")); err != nil {
			t.Fatal(err)
		}
		if err := h.SetRole("park", RoleOperator, false); err != nil || len(h.alarms.All()) > 0 {
			t.Errorf("%v, alarms: %v", err, h.alarms.All())
		}
	})
}

func TestCopyOfAccountsIsChecked(t *testing.T) {
	h := start(t, "", time.Now)
	h.addUser(t, "kim", RoleAdmin)
	if _, err := h.AddAPIKey("script", RoleViewer); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(h.dir, "users.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b) {
		t.Fatalf("the copy is %s", b)
	}
	change := func(from, to string) string {
		if !strings.Contains(string(b), from) {
			t.Fatalf("%s has no %s", b, from)
		}
		// With the right checksums: what is in the copy is not trusted for that.
		var lines []string
		for line := range strings.Lines(strings.ReplaceAll(string(b), from, to)) {
			if head, record, ok := strings.Cut(line, `,"record":`); ok {
				record = record[:strings.LastIndex(record, "}")]
				end := line[len(head)+len(`,"record":`)+len(record):]
				line = fmt.Sprintf(`{"crc32c":"%08x","record":%s%s`, crc32.Checksum([]byte(record), crc32.MakeTable(crc32.Castagnoli)), record, end)
			}
			lines = append(lines, line)
		}
		return strings.Join(lines, "")
	}
	for what, c := range map[string]struct {
		content     string
		users, keys int
	}{
		"whole":                        {string(b), 1, 1},
		"empty":                        {"", 0, 0},
		"torn":                         {string(b[:len(b)-10]), 1, 0},
		"a flipped bit":                {strings.Replace(string(b), "kim", "kil", 1), 0, 1},
		"null":                         {"null", 0, 0},
		"no user":                      {`[` + "\n" + `{"crc32c":"00000000","record":{"user":null}}` + "\n]", 0, 0},
		"name":                         {change(`"kim"`, `"../kim"`), 0, 1},
		"role":                         {change(`"admin"`, `"root"`), 0, 1},
		"key's role":                   {change(`"viewer"`, `"root"`), 1, 0},
		"key's name":                   {change(`"script"`, `""`), 1, 0},
		"key's hash":                   {change(`"hash":"`, `"hash":"00`), 1, 0},
		"hash that ends the process":   {change("t=3", "t=0"), 0, 1},
		"hash of no lanes":             {change("p=1", "p=0"), 0, 1},
		"hash that takes all memory":   {change("m=12288", "m=4294967295"), 0, 1},
		"hash that takes all the time": {change("t=3", "t=4294967295"), 0, 1},
		"hash of nothing":              {change("$argon2id$", "$"), 0, 1},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "users.json"), []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		h := start(t, dir, time.Now)
		if u, k := h.Users(), h.APIKeys(); len(u) != c.users || len(k) != c.keys {
			t.Errorf("%s: restored %v, %v", what, u, k)
		}
		h.stop(t)
	}
}
