package hub

// pool keeps values for the next one who needs such a value, as many as the channel's capacity. A sync.Pool would be a
// global variable, and would make what is allocated depend on the garbage collector.
type pool[T any] chan *T

func (p pool[T]) get() *T {
	select {
	case v := <-p:
		return v
	default:
		return new(T)
	}
}

func (p pool[T]) put(v *T) {
	select {
	case p <- v:
	default:
	}
}
