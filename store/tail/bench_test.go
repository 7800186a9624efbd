package tail

import (
	"errors"
	"io"
	"testing"
)

// BenchmarkReader reads frames in commits of 1,000; one operation is a frame. It commits, too, which is not measured.
func BenchmarkReader(b *testing.B) {
	for name, c := range map[string]struct{ disk, decode bool }{
		"memory": {}, "memory, decoded": {decode: true}, "disk": {disk: true}, "disk, decoded": {disk: true, decode: true},
	} {
		b.Run(name, func(b *testing.B) {
			const commit = 1000
			r := newRig(b, windowBytes)
			reader := r.log.Reader(1)
			defer reader.Close()
			b.ReportAllocs()
			read := 0
			for read < b.N {
				b.StopTimer()
				for range 10 {
					r.commit(commit)
				}
				if c.disk {
					r.log.mu.Lock()
					r.log.drop(len(r.log.window))
					r.log.mu.Unlock()
				}
				b.StartTimer()
				for {
					e, err := reader.Next()
					if errors.Is(err, io.EOF) {
						break
					}
					if err == nil && c.decode {
						_, err = e.Data()
					}
					if err != nil {
						b.Fatal(err)
					}
					read++
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(read), "ns/frame")
		})
	}
}
