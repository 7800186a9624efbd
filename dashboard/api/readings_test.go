package api

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// paced is a reader that takes so many bytes a second.
type paced struct {
	http.ResponseWriter
	speed    int
	deadline time.Time
}

func (p *paced) SetWriteDeadline(t time.Time) error {
	p.deadline = t
	return nil
}

func (p *paced) Write(b []byte) (int, error) {
	end := time.Now().Add(time.Duration(len(b)) * time.Second / time.Duration(p.speed))
	if end.After(p.deadline) {
		time.Sleep(time.Until(p.deadline))
		return 0, os.ErrDeadlineExceeded
	}
	time.Sleep(time.Until(end))
	return len(b), nil
}

func TestSlowDownloadsEnd(t *testing.T) {
	for speed, most := range map[int]time.Duration{1 << 10: answerTime, slowest - 1<<10: 20 * time.Minute, slowest: 0, 1 << 20: 0} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			w := &pieceWriter{to: &paced{ResponseWriter: httptest.NewRecorder(), speed: speed}, left: answerTime}
			var err error
			for piece := make([]byte, streamBuffer); err == nil && time.Since(began) < 24*time.Hour; {
				_, err = w.Write(piece)
			}
			if took := time.Since(began); (err != nil) != (most > 0) || err != nil && took > most {
				t.Errorf("%d bytes/s: %v after %v", speed, err, took)
			}
		})
	}
}
