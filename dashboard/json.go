package dashboard

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

const maxRequest = 64 << 10 // bytes of a JSON request

// answer sends v as JSON. Nothing of it may be kept by the browser: it belongs to who is logged in.
func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		fail(w, http.StatusInternalServerError, "the answer has no JSON form: "+err.Error(), "")
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a caller that has gone by now can't be told anything
}

// problem is the body of every answer that is not 2xx.
type problem struct {
	Error string `json:"error"`          // what is wrong
	Hint  string `json:"hint,omitempty"` // what to do about it
}

// fail answers with a problem.
func fail(w http.ResponseWriter, status int, text, hint string) {
	answer(w, status, problem{text, hint})
}

// readJSON reads the request's body into v. If it can't, it answers, and returns false.
func readJSON(w http.ResponseWriter, r *http.Request, v any) bool {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return true
		}
		err = errors.New("there is more behind the first value")
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		fail(w, http.StatusRequestEntityTooLarge, "the request is too large", "")
		return false
	}
	fail(w, http.StatusBadRequest, "the request is not the JSON that is expected here: "+err.Error(), "/api/v1/openapi.json describes it")
	return false
}

// millis is t in ms since 1970, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
