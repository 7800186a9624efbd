package firmwaresim

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h histogram
	var all []time.Duration
	for range 10_000 {
		d := time.Duration(rng.ExpFloat64() * float64(20*time.Millisecond)).Truncate(time.Microsecond)
		all = append(all, d)
		h.add(d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		got := h.quantile(q)
		if got < want || float64(got-want) > float64(want)/subBuckets+1000 {
			t.Errorf("quantile %g is %v, want %v or a little more", q, got, want)
		}
	}
	h.reset()
	if h.quantile(0.5) != 0 {
		t.Error("not empty after reset")
	}
}

func TestBuckets(t *testing.T) {
	last := -1
	for us := uint64(0); us < 1<<20; us++ {
		b := bucketOf(us)
		if b != last && b != last+1 {
			t.Fatalf("%d µs falls into bucket %d after %d", us, b, last)
		}
		if end := uint64(bucketEnd(b) / time.Microsecond); us >= end {
			t.Fatalf("%d µs lies in a bucket that ends at %d", us, end)
		}
		last = b
	}
	if b := bucketOf(1 << 63); b != histBuckets-1 {
		t.Errorf("the longest time falls into bucket %d", b)
	}
}

func TestProcessUsage(t *testing.T) {
	before, err := processUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if before.rss < 1<<20 || before.peak < before.rss {
		t.Errorf("%+v", before)
	}
	for began := time.Now(); ; {
		after, err := processUsage(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if after.cpu > before.cpu {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatal("a minute of work took no CPU time")
		}
	}
}
