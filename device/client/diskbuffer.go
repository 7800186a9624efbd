package client

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// retryDisk is how long a failed write of the buffer file is left alone.
const retryDisk = time.Second

// minRewrite is the size in bytes below which a buffer file is left alone, however little of it is alive.
const minRewrite = 128 << 10

// diskBuffer is the buffer file. One goroutine writes it; what it says is always a prefix of what the state in memory went
// through, so that reading it back gives a state the device has been in.
type diskBuffer struct {
	path string
	lock *os.File // keeps other processes away

	// Owned by the writer: Client.Run's disk task, or New and Close when that does not run.
	file *os.File // nil if it has to be made anew
	size int64
}

// openDiskBuffer reads the file at path, if there is one, into the state in memory.
func openDiskBuffer(path string, restore func(file []byte) error) (d *diskBuffer, setAside string, err error) {
	d = &diskBuffer{path: path}
	if d.lock, err = lockFile(path + ".lock"); err != nil {
		return nil, "", err
	}
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.close()
		return nil, "", err
	}
	if err == nil {
		if err := restore(content); err != nil {
			setAside = path + ".damaged"
			if err := os.Rename(path, setAside); err != nil {
				d.close()
				return nil, "", err
			}
		}
	}
	return d, setAside, nil
}

// append writes records behind the others and makes them durable.
func (d *diskBuffer) append(records []byte) error {
	if _, err := d.file.WriteAt(records, d.size); err != nil {
		return err
	}
	if err := syncData(d.file); err != nil {
		return err
	}
	d.size += int64(len(records))
	return nil
}

// replace makes the file anew. Whenever the power goes, there is either the old one or the new one, whole.
func (d *diskBuffer) replace(content []byte) error {
	d.abandon()
	f, err := os.OpenFile(d.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(f.Name(), d.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(d.path))
	}
	if err != nil {
		f.Close()
		return err
	}
	d.file, d.size = f, int64(len(content))
	return nil
}

// abandon closes the file: after a failed write nobody knows what it holds.
func (d *diskBuffer) abandon() {
	if d.file != nil {
		d.file.Close()
		d.file = nil
	}
}

func (d *diskBuffer) close() {
	d.abandon()
	_ = unlockFile(d.lock) // nothing was written to it
}

// writeDisk is the disk task of Run: it writes what has been collected as soon as there is something; what comes meanwhile goes
// into the next write, so one fdatasync covers many frames when they come fast.
func (c *Client) writeDisk(ctx context.Context) {
	for ctx.Err() == nil {
		if err := c.flush(); err != nil {
			c.noteError("the buffer file cannot be written", err)
			select {
			case <-time.After(retryDisk):
			case <-ctx.Done():
			}
			continue
		}
		select {
		case <-c.buf.log.wake:
		case <-ctx.Done():
		}
	}
}

// batch is one write of the buffer file and what it makes durable.
type batch struct {
	records  []byte
	replace  bool // records are the whole file
	stream   uint64
	next     uint64 // every frame with a lower number
	appended uint64 // so many records of the log
}

// flush makes durable what has been collected. On an error nothing is lost from memory and the next call tries again.
func (c *Client) flush() (err error) {
	b := c.nextBatch()
	switch {
	case b.replace:
		err = c.disk.replace(b.records)
	case len(b.records) > 0:
		err = c.disk.append(b.records)
	}
	c.flushed(b, err)
	return err
}

func (c *Client) nextBatch() batch {
	c.mu.Lock()
	defer c.mu.Unlock()
	log := c.buf.log
	b := batch{records: log.pending, stream: c.buf.stream, next: c.buf.next, appended: log.appended}
	if log.rewrite || c.disk.file == nil || c.worthRewriting(c.disk.size+int64(len(b.records))) {
		b.records, b.replace = c.snapshot(), true
	}
	log.pending, log.rewrite = nil, false
	return b
}

// flushed takes note of what a write has come to.
func (c *Client) flushed(b batch, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.buf.log.rewrite = true
		return
	}
	c.durable = b.appended
	if c.buf.stream == b.stream { // else the frames have other numbers by now, and are written anew
		c.buf.durable = b.next - 1
	}
	close(c.synced)
	c.synced = make(chan struct{})
	notify(c.wake)
}

// worthRewriting tells whether a file of this size would be mostly dead, so that making it anew pays. It bounds the file, because
// what is alive is bounded.
func (c *Client) worthRewriting(size int64) bool {
	alive := c.buf.bytes + len(c.buf.lost)*rangeRecordSize + c.commands.bytes()
	return size > int64(max(minRewrite, 2*alive))
}
