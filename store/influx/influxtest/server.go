package influxtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	influxdb2 "github.com/influxdata/influxdb-client-go/v2"
)

// Database is the database that Start makes.
const Database = "telemetry"

// Server is a running influxd of its own, with Flux and one database.
type Server struct {
	URL   string
	Token string // "user:password" if the server asks for one

	t      testing.TB
	config string
	cmd    *exec.Cmd
	output *bytes.Buffer
	client *http.Client
}

// Start starts influxd, until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := prepare(t, false)
	s.Run()
	s.Exec("CREATE DATABASE " + Database)
	return s
}

// StartWithPassword starts an influxd that asks for a token.
func StartWithPassword(t testing.TB) *Server {
	t.Helper()
	s := prepare(t, true)
	s.Run()
	s.Exec("CREATE USER hub WITH PASSWORD 'secret' WITH ALL PRIVILEGES")
	s.Token = "hub:secret"
	s.Exec("CREATE DATABASE " + Database)
	return s
}

// Prepare is Start without the server: its address is fixed, but nothing listens there until Run is called.
func Prepare(t testing.TB) *Server {
	t.Helper()
	return prepare(t, false)
}

func prepare(t testing.TB, auth bool) *Server {
	dir := t.TempDir()
	addr := freeAddress(t)
	s := &Server{
		URL: "http://" + addr, t: t, config: filepath.Join(dir, "influxdb.conf"),
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute},
	}
	config := fmt.Sprintf(`
reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
dir = %q
[data]
dir = %q
wal-dir = %q
query-log-enabled = false
[http]
bind-address = %q
auth-enabled = %t
flux-enabled = true
log-enabled = false
[monitor]
store-enabled = false
`, filepath.Join(dir, "meta"), filepath.Join(dir, "data"), filepath.Join(dir, "wal"), addr, auth)
	if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

// freeAddress returns an address that stays free while the server is down: the system gives ports above 32767 to whoever
// asks for any.
func freeAddress(t testing.TB) string {
	for range 100 {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+rand.IntN(12000)))
		if err != nil {
			continue
		}
		defer ln.Close()
		return ln.Addr().String()
	}
	t.Fatal("no free port was found")
	return ""
}

// Run starts the server, again after Kill, and waits until it answers.
func (s *Server) Run() {
	s.t.Helper()
	s.output = &bytes.Buffer{}
	s.cmd = exec.Command(Program(s.t), "-config", s.config)
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		resp, err := s.client.Get(s.URL + "/ping")
		if err == nil {
			resp.Body.Close()
			if _, ok := resp.Header["X-Influxdb-Version"]; ok {
				return
			}
			err = fmt.Errorf("%s is taken by another program", s.URL)
		}
		if time.Now().After(deadline) {
			s.Kill()
			s.t.Fatalf("influxd does not answer: %v\n%s", err, s.output)
		}
	}
}

// Kill ends the server as kill -9 does.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Result is one series of an InfluxQL answer.
type Result struct {
	Name    string            `json:"name"`
	Tags    map[string]string `json:"tags"`
	Columns []string          `json:"columns"`
	Values  [][]any           `json:"values"`
}

// Exec runs one InfluxQL statement and returns its series. Times come as the epoch's ns, numbers as json.Number.
func (s *Server) Exec(statement string) []Result {
	s.t.Helper()
	v := url.Values{"q": {statement}, "db": {Database}, "epoch": {"ns"}}
	req, err := http.NewRequest(http.MethodPost, s.URL+"/query?"+v.Encode(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.Token != "" {
		req.Header.Set("Authorization", "Token "+s.Token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Error   string
		Results []struct {
			Error  string
			Series []Result
		}
	}
	d := json.NewDecoder(resp.Body)
	d.UseNumber()
	if err := d.Decode(&answer); err != nil {
		s.t.Fatal(err)
	}
	if answer.Error != "" || len(answer.Results) != 1 || answer.Results[0].Error != "" {
		s.t.Fatalf("%s: %+v", statement, answer)
	}
	return answer.Results[0].Series
}

// Flux runs a Flux query through the v2 API and returns the values of each record.
func (s *Server) Flux(query string) []map[string]any {
	s.t.Helper()
	client := influxdb2.NewClientWithOptions(s.URL, s.Token, influxdb2.DefaultOptions().SetHTTPClient(s.client))
	defer client.Close()
	result, err := client.QueryAPI("").Query(context.Background(), query)
	if err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	defer result.Close()
	var records []map[string]any
	for result.Next() {
		records = append(records, result.Record().Values())
	}
	if result.Err() != nil {
		s.t.Fatalf("%s: %v", query, result.Err())
	}
	return records
}
