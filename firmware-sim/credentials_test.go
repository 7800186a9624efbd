package firmwaresim

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseCredentials(t *testing.T) {
	const file = "device,token\na-1,secret1\n\"b,2\", secret2 \n"
	utf16 := "\xff\xfe"
	for _, c := range file {
		utf16 += string([]byte{byte(c), 0})
	}
	for _, file := range []string{file, "\ufeff" + file, utf16} {
		got, err := ParseCredentials(strings.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		want := []Credential{{"a-1", "secret1"}, {"b,2", "secret2"}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestParseCredentialsRefuses(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "empty"},
		{"header missing", "a-1,secret1\n", "line 1"},
		{"no token", "device,token\na-1,secret1\na-2,\n", "line 3"},
		{"no device", "device,token\n,secret1\n", "line 2"},
		{"twice", "device,token\na-1,secret1\na-1,secret2\n", "line 3"},
		{"a third column", "device,token\na-1,secret1,x\n", "line 2"},
		{"open quote", "device,token\na-1,\"secret1\n", "line 2"},
		{"long name", "device,token\n" + strings.Repeat("a", 65) + ",secret1\n", "line 2"},
		{"endless line", "device,token\na-1," + strings.Repeat("secret1", 10_000), "too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseCredentials(strings.NewReader(c.file))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one about %q", err, c.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells a token: %v", err)
			}
		})
	}
}

func FuzzParseCredentials(f *testing.F) {
	f.Add("device,token\na,b\n")
	f.Add("device,token\n\"a\n\",b")
	f.Fuzz(func(t *testing.T, file string) {
		creds, err := ParseCredentials(strings.NewReader(file))
		if err != nil {
			return
		}
		for _, c := range creds {
			if c.Device == "" || c.Token == "" {
				t.Fatalf("accepted %q", c)
			}
		}
	})
}

func TestFirst(t *testing.T) {
	creds := []Credential{{"a", "1"}, {"b", "2"}}
	if got, err := first(creds, 1); err != nil || len(got) != 1 || got[0].Device != "a" {
		t.Errorf("first(1) = %v, %v", got, err)
	}
	_, err := first(creds, 3)
	var p *Problem
	if !errors.As(err, &p) || p.Hint == "" || !strings.Contains(err.Error(), "3") || !strings.Contains(err.Error(), "2") {
		t.Errorf("first(3) = %v", err)
	}
	if _, err := first(creds, 0); err == nil {
		t.Error("no devices were accepted")
	}
}

func TestNewTarget(t *testing.T) {
	if got, err := NewTarget("https://gateway:8443", "", true); err != nil || got.URL != "wss://gateway:8443" || !got.TLS.InsecureSkipVerify {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := NewTarget("wss://gateway:8443", "", false); err != nil || got.TLS.InsecureSkipVerify {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"ws://gateway", "gateway:8443", "127.0.0.1:8443", "wss://", "http://gateway", "::"} {
		var problem *Problem
		if _, err := NewTarget(bad, "", false); !errors.As(err, &problem) || problem.Hint == "" {
			t.Errorf("%q: %v, without a hint", bad, err)
		}
	}
	if _, err := NewTarget("wss://gateway", "/nonexistent.pem", false); err == nil {
		t.Error("a missing certificate was accepted")
	}
	if _, err := NewTarget("wss://gateway", "credentials.go", false); err == nil {
		t.Error("a certificate without PEM was accepted")
	}
	if _, err := NewTarget("wss://gateway", "credentials.go", true); err == nil {
		t.Error("--ca and --insecure together were accepted")
	}
}
