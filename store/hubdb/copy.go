package hubdb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/telemetry-hub/telemetry-hub/store/alarms"
)

// Copy is a file beside hub.db that holds some of its records a second time, so that a damaged hub.db does not lose them. It is a
// JSON array with an element a line, each with its checksum: a damaged byte costs one record at most. Its methods are not for
// concurrent use.
type Copy struct {
	path   string
	what   string // the records, in words
	alarms *alarms.List
	stale  bool // hub.db has something else
}

// NewCopy returns the copy in this file. what names its records in texts.
func NewCopy(path, what string, alarms *alarms.List) *Copy {
	return &Copy{path: path, what: what, alarms: alarms}
}

// Stale tells whether the last Write failed.
func (f *Copy) Stale() bool { return f.stale }

// copyLine is an element of a Copy.
type copyLine struct {
	Checksum string          `json:"crc32c"` // of the bytes of Record, 8 hexadecimal digits
	Record   json.RawMessage `json:"record"`
}

// recordBegins is what each copyLine begins with, and no string in one has in it: there, quotes are escaped.
var recordBegins = []byte(`{"crc32c":"`)

// maxBetween is the most bytes that stand before, between and behind the records.
const maxBetween = len("\n]\n")

func checksumText(b []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(b, castagnoli)) }

// Write replaces the file, unless it has these records already; a missing file is not made for none. A failure does not concern
// whatever changed the records, which are in hub.db: it raises an alarm, and the copy is Stale.
func (f *Copy) Write(records []any) {
	err := f.replace(records)
	if f.stale = err != nil; f.stale {
		f.alarms.Set(filepath.Base(f.path), fmt.Sprintf(
			"the copy of the %s, %s, can't be written: %v. They are safe in hub.db; should that be damaged, the last changes would be lost. "+
				"The hub goes on trying", f.what, filepath.Base(f.path), err))
		return
	}
	f.alarms.Clear(filepath.Base(f.path))
}

func (f *Copy) replace(records []any) error {
	content := []byte("[")
	for i, record := range records {
		value, err := json.Marshal(record)
		if err != nil {
			return err
		}
		line, err := json.Marshal(copyLine{checksumText(value), value})
		if err != nil {
			return err
		}
		if i > 0 {
			content = append(content, ',')
		}
		content = append(append(content, '\n'), line...)
	}
	content = append(content, "\n]\n"...)
	old, err := os.ReadFile(f.path)
	if err == nil && bytes.Equal(old, content) || errors.Is(err, fs.ErrNotExist) && len(records) == 0 {
		return nil
	}
	return writeFile(f.path, content)
}

// Read calls use with each record of the file, and returns how many can't be used: they are damaged, or use refused them. A
// missing file has none.
func (f *Copy) Read(use func(record []byte) error) (bad int, err error) {
	content, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	for damaged := false; ; {
		// What stands between the records does not matter, so that damage to it costs none.
		at := bytes.Index(content, recordBegins)
		between := content
		if at >= 0 {
			between = content[:at]
		}
		if len(between) > maxBetween && !damaged { // a record whose beginning can't be recognized
			bad++
		}
		if at < 0 {
			return bad, nil
		}
		content = content[at:]
		decoder := json.NewDecoder(bytes.NewReader(content))
		var l copyLine
		if err := decoder.Decode(&l); err == nil {
			content, damaged = content[decoder.InputOffset():], false
		} else {
			content, damaged = content[len(recordBegins):], true
		}
		if damaged || l.Checksum != checksumText(l.Record) || use(l.Record) != nil {
			bad++
		}
	}
}

// NoteRestored raises an alarm that says what the copy was good for, and how many of its records could not be used; hint is what
// follows from having restored any.
func (f *Copy) NoteRestored(restored, bad int, hint string, err error) {
	file := filepath.Base(f.path)
	var text []string
	if restored > 0 {
		text = append(text, fmt.Sprintf("%d %s were restored from %s%s", restored, f.what, file, hint))
	}
	if bad > 0 {
		text = append(text, fmt.Sprintf("%d %s in %s are damaged: what is missing has to be added again", bad, f.what, file))
	}
	if err != nil {
		text = append(text, fmt.Sprintf("the %s could not be restored from %s: %v", f.what, file, err))
	}
	if len(text) > 0 {
		f.alarms.Set("restored "+file, strings.Join(text, "; "))
	}
}

// writeFile replaces a file so that a power cut leaves the old or the new content.
func writeFile(path string, b []byte) error {
	// One name, so that what a crash leaves behind is one file. Nobody writes the same file twice at a time.
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
