package history

import (
	"os"
	"path/filepath"
	"testing"
)

// crash goes on with a copy of the file as it is now, as after kill -9: what was only in memory is lost.
func crash(t testing.TB, h *History, o *Options) *History {
	t.Helper()
	b, err := os.ReadFile(o.Path)
	if err != nil {
		t.Fatal(err)
	}
	abandon(t, h)
	o.Path = filepath.Join(t.TempDir(), "history.db")
	if err := os.WriteFile(o.Path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return mustOpen(t, *o)
}

// abandon closes the file without writing what is in memory.
func abandon(t testing.TB, h *History) {
	t.Helper()
	h.writing.Lock()
	defer h.writing.Unlock()
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	if err := h.file.Close(); err != nil {
		t.Fatal(err)
	}
}
