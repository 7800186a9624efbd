package dashboard

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telemetry-hub/telemetry-hub/hub/certificate"
	"github.com/telemetry-hub/telemetry-hub/store"
	"github.com/telemetry-hub/telemetry-hub/store/accounts"
	"github.com/telemetry-hub/telemetry-hub/store/export"
	"github.com/telemetry-hub/telemetry-hub/store/influx"
	"github.com/telemetry-hub/telemetry-hub/store/storetest"
)

// TestReplayAnswer has an InfluxDB that refuses a line, then is not to be spoken to, and then takes the line.
func TestReplayAnswer(t *testing.T) {
	var status atomic.Int64
	status.Store(http.StatusBadRequest)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(int(status.Load()))
		if status.Load() != http.StatusNoContent {
			_, _ = io.WriteString(w, `{"error":"partial write: field type conflict dropped=1"}`)
		}
	}))
	defer server.Close()
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	st, err := store.Open(store.Options{
		Dir: dir, CommitWindow: 5 * time.Millisecond, Logger: log,
		Influx: &export.Options{Config: influx.Config{URL: server.URL, Bucket: "b"}, FlushInterval: 10 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer storetest.Run(t, st)()
	cert, err := certificate.Open(certificate.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(Config{Store: st, Certificate: cert, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	key, err := st.Accounts.AddAPIKey("script", accounts.RoleAdmin)
	if err != nil {
		t.Fatal(err)
	}
	c := loadContract(t)
	replay := func(body string, status int, want string) {
		t.Helper()
		r := httptest.NewRequest("POST", "https://localhost/api/v1/dead-letters/replay", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		d.Handler().ServeHTTP(w, r)
		got := w.Body.String()
		c.check(t, "POST", "/dead-letters/replay", []byte(body), w.Result(), w.Body.Bytes())
		if w.Code != status || !strings.Contains(got, want) {
			t.Errorf("replay: %d %s, want %d %s", w.Code, got, status, want)
		}
	}
	a := &apiRig{liveRig: &liveRig{t: t, Dashboard: d}}
	newSensor(a, "s").send(time.Now(), 2100)
	eventually(t, "a dead letter", func() bool {
		a.commit()
		letters, err := st.Ledger.DeadLetters(0, 10)
		return err != nil || len(letters) == 1
	})
	replay(`{"all":true}`, 200, `{"replayed":0,"refused":1}`)
	replay(`{"positions":[12345]}`, 200, `{"replayed":0,"refused":0}`)
	status.Store(http.StatusUnauthorized)
	replay(`{"all":true}`, 502, `influx check`)
	status.Store(http.StatusNoContent)
	replay(`{"all":true,"positions":[]}`, 200, `{"replayed":1,"refused":0}`)
}
