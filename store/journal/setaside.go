package journal

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

const (
	setAsideFolder = "set-aside"
	setAsideBytes  = 64 << 20
)

var errTooLargeToKeep = errors.New("too large to be kept")

// copyAside keeps a copy of a whole file, and returns its path. If there is one
// from an earlier start, that one stays. It returns "" if it fails: a full
// disk must not keep the journal from being read.
func (j *Journal) copyAside(name string) string {
	path := filepath.Join(j.dir, setAsideFolder, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	info, err := os.Stat(filepath.Join(j.dir, name))
	if err != nil || j.copyTo(path, name, 0, info.Size()) != nil {
		return ""
	}
	return path
}

// copyTailAside is like copyAside for the end of a file, n bytes from off on.
func (j *Journal) copyTailAside(name string, off, n int64) string {
	path := freePath(filepath.Join(j.dir, setAsideFolder, name+".from-"+strconv.FormatInt(off, 10)), "")
	if err := j.copyTo(path, name, off, n); err != nil {
		return ""
	}
	return path
}

// copyTo copies n bytes of a file from off on to path, which is in set-aside.
// What cannot be read is copied as zeros.
func (j *Journal) copyTo(path, name string, off, n int64) error {
	if n > setAsideBytes {
		return errTooLargeToKeep
	}
	if err := j.makeRoom(n); err != nil {
		return err
	}
	from, err := os.Open(filepath.Join(j.dir, name))
	if err != nil {
		return err
	}
	defer from.Close()
	part := path + ".part"
	to, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(part) // gone already if all went well
	defer to.Close()
	w := window{file: from, tolerant: true}
	for end := off + n; off < end; {
		b, err := w.at(off, 1, end)
		if err != nil {
			return err
		}
		if _, err := to.Write(b); err != nil {
			return err
		}
		off += int64(len(b))
	}
	if err := to.Sync(); err != nil {
		return err
	}
	return os.Rename(part, path)
}

// moveAside takes a file, or whatever it is, out of the journal.
func (j *Journal) moveAside(name string) error {
	from := filepath.Join(j.dir, name)
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if err := j.makeRoom(info.Size()); err != nil {
		return err
	}
	path := freePath(filepath.Join(j.dir, setAsideFolder, name+".foreign"), "")
	if err := os.Rename(from, path); err != nil {
		return err
	}
	j.note(Damage{Segment: name, Kind: ForeignFile, Bytes: info.Size(), SetAside: path})
	return nil
}

// freePath returns base+suffix or, if that is in use, base with a number and
// suffix.
func freePath(base, suffix string) string {
	path := base + suffix
	for i := 2; ; i++ {
		if _, err := os.Lstat(path); err != nil {
			return path
		}
		path = base + "-" + strconv.Itoa(i) + suffix
	}
}

// makeRoom makes the folder set-aside if need be, and removes the oldest files
// in it until n more bytes keep it within its bound.
func (j *Journal) makeRoom(n int64) error {
	dir := filepath.Join(j.dir, setAsideFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var files []os.FileInfo
	total := n
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			files = append(files, info)
			total += info.Size()
		}
	}
	slices.SortFunc(files, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, file := range files {
		if total <= setAsideBytes {
			break
		}
		if err := os.RemoveAll(filepath.Join(dir, file.Name())); err != nil {
			return err
		}
		total -= file.Size()
	}
	return nil
}
