package certificate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/telemetry-hub/telemetry-hub/store/boltfile"
)

// unsaved is a file to be written.
type unsaved struct {
	name    string
	content []byte
	mode    os.FileMode
}

// loss says why there is nothing to be had from a file; the zero value: there is.
type loss struct {
	missing bool
	text    string // complete sentence without its end
}

func (l loss) damaged() bool { return l.text != "" && !l.missing }

// unreadable says that the system does not let a file be read: too many may be open, or it is somebody else's. That is no damage,
// and while there is a certificate in memory, no reason to make another.
func (o *own) unreadable() error {
	for _, name := range []string{keyFile, leafFile, caKeyFile, caFile} {
		_, err := readFile(o.path(name))
		if _, system := errors.AsType[*fs.PathError](err); system && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (o *own) path(name string) string { return filepath.Join(o.dir, name) }

// write has a file written by the next save.
func (o *own) write(name string, content []byte, mode os.FileMode) {
	o.unsaved = append(o.unsaved, unsaved{name, content, mode})
}

// save writes what is not on disk yet, in the order in which it was made: keys come before what is signed with them.
func (o *own) save() bool {
	for len(o.unsaved) > 0 {
		f := o.unsaved[0]
		err := makeDir(o.dir)
		if err == nil {
			err = writeFile(o.path(f.name), f.content, f.mode)
		}
		if err != nil {
			o.config.Alarm(alarmSave, "the hub's certificate can't be written, so it would be another one after a restart; the hub goes on trying: "+err.Error())
			return false
		}
		o.unsaved = o.unsaved[1:]
	}
	o.config.Alarm(alarmSave, "")
	return true
}

// removeRests removes files whose writing was cut off.
func (o *own) removeRests() {
	rests, _ := filepath.Glob(o.path(".new-*"))
	for _, rest := range rests {
		_ = os.Remove(rest)
	}
}

// read returns what is in a file. If that is of no use, the file is set aside.
func read[T any](o *own, name string, parse func([]byte) (T, error)) (value T, lost loss) {
	content, err := readFile(o.path(name))
	if os.IsNotExist(err) {
		return value, loss{true, o.path(name) + " was missing"}
	}
	if err == nil {
		value, err = parse(content)
	}
	if err != nil {
		lost = o.setAside(name, err.Error())
	}
	return value, lost
}

func (o *own) setAside(name, reason string) loss {
	text := fmt.Sprintf("%s was damaged (%s)", o.path(name), reason)
	if aside, err := boltfile.SetAside(o.path(name), o.config.Now()); err == nil {
		text += " and is kept as " + filepath.Base(aside)
	}
	return loss{text: text}
}
