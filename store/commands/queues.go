package commands

import "slices"

// window is how many commands a device may have unanswered, and for how many later ones a command may still be repeated. A device
// has to remember the last 16 that it has begun: those begun behind a command that is repeated are at most the later ones, and as
// many earlier ones that had got lost.
const window = 8

// queues are the commands of one device that may still change. The commands are never changed, only replaced, so that a copy of the
// lists is a copy of the state.
type queues struct {
	queued []*Command
	sent   []*Command // in the order in which they were first sent
	lost   []*Command // unknown ones that the device may still be asked about
	turn   uint64     // of the last one sent
}

// of returns what is known of a device, made if there is nothing.
func (b *Book) of(id string) *queues {
	q := b.devices[id]
	if q == nil {
		q = &queues{}
		b.devices[id] = q
	}
	return q
}

func (q *queues) clone() *queues {
	return &queues{queued: slices.Clone(q.queued), sent: slices.Clone(q.sent), lost: slices.Clone(q.lost), turn: q.turn}
}

func (q *queues) empty() bool { return len(q.queued)+len(q.sent)+len(q.lost) == 0 }

// place puts a command into the list of its state, in place of what it was before.
func (q *queues) place(c *Command) {
	other := func(o *Command) bool { return o.Number == c.Number }
	q.queued = slices.DeleteFunc(q.queued, other)
	q.sent = slices.DeleteFunc(q.sent, other)
	q.lost = slices.DeleteFunc(q.lost, other)
	q.turn = max(q.turn, c.turn)
	switch c.State {
	case Queued:
		q.queued = append(q.queued, c)
	case Sent:
		q.sent = append(q.sent, c)
	case Unknown:
		q.lost = append(q.lost, c)
	}
	q.lost = slices.DeleteFunc(q.lost, func(o *Command) bool { return !q.recent(o) })
}

// recent says whether the device still has to remember the command if it has begun it; see Delivery.
func (q *queues) recent(c *Command) bool { return c.turn+window > q.turn }

// byTurn sorts commands as they were first sent.
func byTurn(a, b *Command) int {
	switch {
	case a.turn < b.turn:
		return -1
	case a.turn > b.turn:
		return 1
	}
	return 0
}
