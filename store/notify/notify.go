// Package notify tells those who wait for it that something happened.
package notify

import "sync"

// List is functions that are called for every event of a kind. The zero value is an empty list.
type List[T any] struct {
	mu   sync.Mutex
	next int
	list map[int]func(T)
}

// Add has f called from now on. stop ends it, and may be called more than once.
func (l *List[T]) Add(f func(T)) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.list == nil {
		l.list = map[int]func(T){}
	}
	key := l.next
	l.next++
	l.list[key] = f
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.list, key)
	}
}

// Notify calls all functions.
func (l *List[T]) Notify(event T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.list {
		f(event)
	}
}

// Signal wakes who receives from c, a channel of capacity 1, or says that there is something to do when he comes. He looks for
// himself what it is: several signals before that are one.
func Signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
