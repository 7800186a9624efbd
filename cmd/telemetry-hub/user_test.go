package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/telemetry-hub/telemetry-hub/store/accounts"
)

// cliWith runs telemetry-hub with a text on its standard input.
func cliWith(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program("telemetry-hub"), args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	_ = cmd.Run() // the code says how it ended
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// ask sends a request to the hub's API and returns the status.
func (p *process) ask(t *testing.T, method, path, key, body string) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: roots(t, p.dir).Clone(), DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), method, "https://"+p.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func (p *process) login(t *testing.T, user, password string) int {
	t.Helper()
	return p.ask(t, "POST", "/api/v1/session", "", fmt.Sprintf(`{"user":%q,"password":%q}`, user, password))
}

// Users and API keys are made before the hub runs, and managed while it does.
func TestUsersAndKeys(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "password.txt")
	if err := os.WriteFile(file, []byte("from a file\r\nand more\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cli(t, "user", "add", "Kim", "--role", "admin", "--password-file", file, "--data-dir", dir).wants(t, 0, "kim is added as admin")
	cliWith(t, "\ufefffrom a pipe\n", "user", "add", "lee", "--role", "viewer", "--data-dir", dir).wants(t, 0, "lee is added as viewer")
	key := strings.TrimSpace(must(t, "apikey", "add", "script", "--role", "viewer", "--data-dir", dir))

	p := start(t, dir, nil)
	for _, c := range []struct {
		user, password string
		want           int
	}{{"kim", "from a file", http.StatusOK}, {"lee", "from a pipe", http.StatusOK}, {"lee", "from a file", http.StatusUnauthorized}} {
		if got := p.login(t, c.user, c.password); got != c.want {
			t.Errorf("log in as %s with %q: %d, want %d", c.user, c.password, got, c.want)
		}
	}
	if got := p.ask(t, "GET", "/api/v1/session", key, ""); got != http.StatusOK {
		t.Errorf("the API key: %d", got)
	}
	if got := p.ask(t, "GET", "/api/v1/users", key, ""); got != http.StatusForbidden {
		t.Errorf("the API key as admin: %d", got)
	}
	cliWith(t, "new password of lee", "user", "passwd", "lee", "--data-dir", dir).wants(t, 0, "lee has a new password")
	if got := p.login(t, "lee", "new password of lee"); got != http.StatusOK {
		t.Errorf("the new password: %d", got)
	}
	var users []struct {
		Name string
		Role accounts.Role
	}
	mustJSON(t, &users, "user", "list", "--format", "json", "--data-dir", dir)
	if len(users) != 2 || users[0].Name != "kim" || users[0].Role != accounts.RoleAdmin || users[1].Name != "lee" {
		t.Errorf("users: %+v", users)
	}
	var keys []struct {
		Name     string
		LastUsed time.Time `json:"last_used"`
	}
	mustJSON(t, &keys, "apikey", "list", "--format", "json", "--data-dir", dir)
	if len(keys) != 1 || keys[0].Name != "script" || keys[0].LastUsed.IsZero() {
		t.Errorf("API keys: %+v", keys)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"user", "list"}, "kim   admin"}, {[]string{"apikey", "list"}, "script  viewer"},
		{[]string{"__complete", "user", "passwd"}, ""}, {[]string{"__complete", "apikey", "remove"}, ""},
	} {
		args := append(c.args, "--data-dir", dir)
		if c.want == "" { // completion: the word that is asked for comes last
			args, c.want = append(args, ""), map[string]string{"user": "kim\nlee\n", "apikey": "script\n"}[c.args[1]]
		}
		if out := must(t, args...); !strings.Contains(out, c.want) {
			t.Errorf("%s: %s", args, out)
		}
	}

	cli(t, "user", "remove", "lee", "--data-dir", dir).wants(t, 0, "lee is removed")
	cli(t, "user", "remove", "lee", "--data-dir", dir).wants(t, exitNotFound, "error: no such user: lee", "hint: telemetry-hub user list")
	cli(t, "apikey", "remove", "script", "--data-dir", dir).wants(t, 0, "script is removed")
	cli(t, "apikey", "remove", "script", "--data-dir", dir).wants(t, exitNotFound, "error: no such API key", "hint: telemetry-hub apikey list")
	if got := p.ask(t, "GET", "/api/v1/session", key, ""); got != http.StatusUnauthorized {
		t.Errorf("the removed API key: %d", got)
	}
	cli(t, "user", "remove", "kim", "--data-dir", dir).wants(t, 0, "there is no admin now")
	for command, want := range map[string]string{"user": "There are no users yet", "apikey": "There are no API keys yet"} {
		if out := must(t, command, "list", "--data-dir", dir); !strings.Contains(out, want) {
			t.Errorf("%s list: %s", command, out)
		}
	}
	if strings.Contains(p.stderr.String(), key) || strings.Contains(p.stderr.String(), "from a") {
		t.Error("the log has a secret")
	}
}

func TestUserMistakes(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		args  []string
		stdin string
		code  int
		want  string
	}{
		{[]string{"user", "add", "kim"}, "correct horse", exitUsage, "--role is missing"},
		{[]string{"user", "add", "kim", "--role", "root"}, "correct horse", exitUsage, "there are viewer, operator, admin"},
		{[]string{"user", "add", "--role", "viewer"}, "correct horse", exitUsage, "NAME is missing"},
		{[]string{"user", "add", "kim", "--role", "viewer"}, "", exitFailure, "hint: type it on a terminal"},
		{[]string{"user", "add", "kim", "--role", "viewer"}, "short\n", exitRefused, "at least 8 characters"},
		{[]string{"user", "add", "k m", "--role", "viewer"}, "correct horse", exitRefused, `user "k m"`},
		{[]string{"user", "add", "kim", "--role", "viewer", "--password-file", "missing"}, "", exitFailure, "missing"},
		{[]string{"apikey", "add", "script"}, "", exitUsage, "--role is missing"},
		{[]string{"apikey", "add", "s c", "--role", "viewer"}, "", exitRefused, `API key "s c"`},
		{[]string{"user", "passwd", "kim"}, "correct horse", exitNotFound, "no such user"},
	} {
		r := cliWith(t, c.stdin, append(c.args, "--data-dir", dir)...)
		r.wants(t, c.code, c.want)
		if strings.Contains(r.stderr, "correct horse") || r.stdout != "" {
			t.Errorf("%s prints %q, %q", c.args, r.stdout, r.stderr)
		}
	}
}

// On a terminal the password is typed twice, and not shown.
func TestPasswordOnATerminal(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		typed, want string
		code        int
	}{
		{"correct horse\ncorrect horse\n", "kim is added as viewer", 0},
		{"correct horse\ncorrect hose\n", "the passwords are not the same", exitFailure},
	} {
		near, far := openTerminal(t)
		cmd := exec.CommandContext(t.Context(), program("telemetry-hub"), "user", "add", "kim", "--role", "viewer", "--data-dir", dir)
		var stderr lines
		cmd.Stdin, cmd.Stderr, cmd.Stdout = far, &stderr, &stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.SplitAfter(c.typed, "\n")[:2] {
			prompt := []string{"New password for kim: ", "Once more for kim: "}[i]
			waitFor(t, prompt, func() bool { return strings.HasSuffix(stderr.String(), prompt) && !echoes(t, far) })
			if _, err := near.WriteString(line); err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Wait()
		result{"", stderr.String(), cmd.ProcessState.ExitCode()}.wants(t, c.code, c.want)
		if !echoes(t, far) {
			t.Error("the terminal shows nothing afterwards")
		}
	}
}

// echoes tells whether a terminal shows what is typed.
func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// openTerminal returns both sides of a new terminal: near is where somebody types, far what a program reads.
func openTerminal(t *testing.T) (near, far *os.File) {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	if err := unix.IoctlSetPointerInt(int(near.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(near.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	far, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	return near, far
}
