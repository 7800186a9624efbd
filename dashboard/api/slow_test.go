package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A body that comes slowly is answered, also when more time has passed than there is for an answer, and so is one that does not
// come in time.
func TestSlowBodies(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ ID string }
		if ReadJSON(w, r, &in) {
			Answer(w, http.StatusCreated, in)
		}
	}))
	server.Config.ReadTimeout, server.Config.WriteTimeout = time.Second, 20*time.Millisecond
	server.Start()
	defer server.Close()
	post := func(send func(io.Writer)) (status int, body string) {
		r, w := io.Pipe()
		defer r.Close()
		go send(w)
		resp, err := http.Post(server.URL, "application/json", r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	status, body := post(func(w io.Writer) {
		_, _ = io.WriteString(w, `{"id":`)
		time.Sleep(100 * time.Millisecond)
		_, _ = io.WriteString(w, `"a"}`)
		_ = w.(*io.PipeWriter).Close()
	})
	if status != http.StatusCreated || !strings.Contains(body, `"a"`) {
		t.Errorf("slow: %d %s", status, body)
	}
	status, body = post(func(w io.Writer) { _, _ = io.WriteString(w, `{"id":`) })
	if status != http.StatusRequestTimeout || !strings.Contains(body, "too_slow") {
		t.Errorf("without end: %d %s", status, body)
	}
	if status, body = post(func(w io.Writer) { _ = w.(*io.PipeWriter).Close() }); status != http.StatusBadRequest {
		t.Errorf("empty: %d %s", status, body)
	}
}
