package boltfile

// spareBytes is how much room beyond what is in use a file keeps for itself on its disk, so that it can be written, and with
// that be made smaller, when the disk is full. bbolt writes every page it changes to a new place first.
const spareBytes = 2 << 20

// keepSpare has the file system set room aside behind the end of the file, whose size stays as it is. Without room for it, or
// on a file system that can't, there is less to spare: the next call tries again.
func (f *File) keepSpare() {
	size, used, err := f.Space()
	if err != nil {
		return
	}
	f.spare.Lock()
	defer f.spare.Unlock()
	// Free pages are as good as room behind the end.
	want := size + spareBytes - min(size-used, spareBytes)
	if want <= f.allocated {
		return
	}
	want += spareBytes / 8 // not at every turn
	if allocate(f.locked, want) == nil {
		f.allocated = want
	}
}
