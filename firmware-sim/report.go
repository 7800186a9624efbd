package firmwaresim

import (
	"fmt"
	"strings"
)

// deadLetterLimit is how many dead letters a hub keeps at least.
const deadLetterLimit = 10_000

// Report is the outcome of a verification.
type Report struct {
	Seed     uint64
	Kills    int    // of the hub
	Cuts     uint64 // connections cut by a device
	Restarts int    // of devices

	InfluxKills int    // of InfluxDB
	Points      uint64 // readings found in InfluxDB

	Devices     int
	Books       hubBooks // of all devices together
	Created     uint64   // frames
	Sent        uint64   // transmissions
	Compared    uint64   // readings
	DeadLetters uint64

	Disagree int // devices that disagree
	findings
}

// reset forgets what was compared.
func (r *Report) reset() {
	*r = Report{Seed: r.Seed, Kills: r.Kills, Cuts: r.Cuts, Restarts: r.Restarts, InfluxKills: r.InfluxKills, findings: findings{Dir: r.Dir}}
}

// add closes the books of one device.
func (r *Report) add(id string, l *ledger, hub hubBooks) {
	found, complaints := l.close(hub)
	r.Devices++
	r.Created += l.books.created
	r.Sent += l.books.sent
	r.Compared += l.readings
	r.Books.Frames += hub.Frames
	r.Books.Readings += hub.Readings
	r.Books.Duplicates += hub.Duplicates
	r.Books.Rejected += hub.Rejected
	r.Books.Lost += hub.Lost
	r.Books.Holes += hub.Holes
	if found == 0 {
		return
	}
	r.Found += found
	r.Disagree++
	sentence := id + ": " + strings.Join(complaints, "; ")
	if rest := found - uint64(len(complaints)); rest > 0 {
		sentence += fmt.Sprintf("; and %d more", rest)
	}
	r.Sentences = append(r.Sentences, sentence)
}

// complain enters a disagreement that is not about one device. It is said in words, however many of them disagree.
func (r *Report) complain(format string, args ...any) {
	r.Found++
	r.Sentences = append(r.Sentences, fmt.Sprintf(format, args...))
}

// checkDeadLetters compares the dead letters with the rejections: each rejected frame has to be among them.
func (r *Report) checkDeadLetters(letters uint64) {
	r.DeadLetters = letters
	if want := min(r.Books.Rejected, deadLetterLimit); letters < want || letters > r.Books.Rejected {
		r.complain("%d frames were rejected, %d are kept as dead letters", r.Books.Rejected, letters)
	}
}

// compareTotals compares with the report before a clean restart, which must change nothing.
func (r *Report) compareTotals(before *Report) {
	if r.Books != before.Books || r.Compared != before.Compared || r.DeadLetters != before.DeadLetters {
		r.complain("a clean restart changed the counters: %+v with %d readings and %d dead letters before, %+v with %d and %d after",
			before.Books, before.Compared, before.DeadLetters, r.Books, r.Compared, r.DeadLetters)
	}
}

// String is the table for people.
func (r *Report) String() string {
	var b strings.Builder
	row := func(name string, n uint64, note string) {
		// A count below zero is a disagreement, which the sentences explain.
		fmt.Fprintln(&b, strings.TrimRight(fmt.Sprintf("  %-24s %10d  %s", name, int64(n), note), " "))
	}
	fmt.Fprintf(&b, "%d devices, %d kills of the hub, %d connections cut, %d restarts of devices, seed %d\n",
		r.Devices, r.Kills, r.Cuts, r.Restarts, r.Seed)
	row("frames created", r.Created, "")
	row("  stored", r.Books.Frames, "")
	row("  rejected", r.Books.Rejected, fmt.Sprintf("sent broken on purpose; %d kept as dead letters", r.DeadLetters))
	row("  lost", r.Books.Lost, "overwritten in a full buffer, and declared")
	row("transmissions", r.Sent, "")
	row("  stored or rejected", r.Books.Frames+r.Books.Rejected, "")
	row("  duplicates dropped", r.Books.Duplicates, "")
	row("  never arrived", r.Sent-r.Books.Frames-r.Books.Rejected-r.Books.Duplicates, "the connection or the hub died under way")
	row("readings compared", r.Compared, "")
	if r.Points > 0 {
		row("readings in InfluxDB", r.Points, fmt.Sprintf("killed %d times; counts and sums of each channel compared", r.InfluxKills))
	}
	r.conclude(&b, "every frame is accounted for: nothing is missing, nothing is there twice, every value is the one that was sent",
		fmt.Sprintf(", %d of %d devices", r.Disagree, r.Devices))
	return b.String()
}
