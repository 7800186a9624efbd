package limit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
)

// queue lets a party wait, and tells how that ended, and in which order.
type queue struct {
	t     *Turns
	ended []string
}

func (q *queue) wait(ctx context.Context, p Party, name string) {
	go func() {
		if err := q.t.Enter(ctx, p); err != nil {
			q.ended = append(q.ended, name+": "+err.Error())
			return
		}
		q.ended = append(q.ended, name)
		q.t.Leave(p)
	}()
	synctest.Wait()
}

func TestTurnsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &queue{t: NewTurns(1, 1, 4)}
		first, greedy, modest, known := Party{"first", false}, Party{"greedy", false}, Party{"modest", false}, Party{"ann", true}
		if err := q.t.Enter(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 4 {
			q.wait(ctx, greedy, fmt.Sprint("greedy ", i))
		}
		q.wait(ctx, greedy, "greedy 4") // has all the places there are to wait
		q.wait(ctx, modest, "modest 0") // the last of the greedy party makes room
		q.wait(ctx, modest, "modest 1") // likewise
		q.wait(ctx, modest, "modest 2") // both have two now
		q.wait(ctx, known, "known")
		busy := ": " + ErrBusy.Error()
		want := []string{"greedy 4" + busy, "greedy 3" + busy, "greedy 2" + busy, "modest 2" + busy}
		if !slices.Equal(q.ended, want) {
			t.Errorf("while waiting: %q, want %q", q.ended, want)
		}
		q.ended = nil
		q.t.Leave(first)
		synctest.Wait()
		if want := []string{"known", "greedy 0", "modest 0", "greedy 1", "modest 1"}; !slices.Equal(q.ended, want) {
			t.Errorf("in turn: %q, want %q", q.ended, want)
		}
		// Who goes away leaves nothing.
		if err := q.t.Enter(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		q.ended = nil
		q.wait(ctx, greedy, "greedy")
		cancel()
		synctest.Wait()
		q.t.Leave(first)
		if len(q.t.parties) > 0 || len(q.t.queue) > 0 || q.t.taken != 0 || !slices.Equal(q.ended, []string{"greedy: " + context.Canceled.Error()}) {
			t.Errorf("left: %v, %v, %d; %q", q.t.parties, q.t.queue, q.t.taken, q.ended)
		}
	})
}

func TestNobodyTakesMoreThanItsShare(t *testing.T) {
	places := NewTurns(3, 2, 0)
	one, two := Party{"one", true}, Party{"two", true}
	enter := func(p Party, want error) {
		t.Helper()
		if err := places.Enter(t.Context(), p); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", p.Name, err, want)
		}
	}
	enter(one, nil)
	enter(one, nil)
	enter(one, ErrBusy)
	enter(two, nil)
	enter(two, ErrBusy) // all are taken
	places.Leave(one)
	enter(two, nil)
}
