package outages

import (
	"fmt"
	"slices"
	"testing"
)

func TestExplain(t *testing.T) {
	const least = 30
	gap := fact{from: 100, to: 1100, cause: CauseUnknown}
	for name, c := range map[string]struct {
		facts []fact
		want  []string
	}{
		"nothing known":     {nil, []string{"100-1100 unknown"}},
		"all of it":         {[]fact{{0, 5000, CauseOffline, ""}}, []string{"100-1100 offline"}},
		"before and behind": {[]fact{{0, 100, CauseOffline, ""}, {1100, 1200, CauseHubDown, ""}}, []string{"100-1100 unknown"}},
		"almost all of it":  {[]fact{{115, 1085, CauseOffline, ""}}, []string{"100-1100 offline"}},
		"less": {[]fact{{116, 1084, CauseOffline, ""}},
			[]string{"100-116 unknown", "116-1084 offline", "1084-1100 unknown"}},
		"a moment explains nothing else": {[]fact{{500, 510, CauseOffline, ""}},
			[]string{"100-500 unknown", "500-510 offline", "510-1100 unknown"}},
		"moments, one behind the other": {[]fact{{500, 510, CauseOffline, ""}, {520, 530, CauseOffline, ""}},
			[]string{"100-500 unknown", "500-530 offline", "530-1100 unknown"}},
		"the first one counts": {[]fact{{300, 600, CauseLost, ""}, {100, 1100, CauseOffline, ""}},
			[]string{"100-300 offline", "300-600 lost", "600-1100 offline"}},
		"a short interruption": {[]fact{{300, 330, CauseHubDown, ""}, {100, 1100, CauseOffline, ""}}, []string{"100-1100 offline"}},
		"a longer one": {[]fact{{300, 331, CauseHubDown, ""}, {100, 1100, CauseOffline, ""}},
			[]string{"100-300 offline", "300-331 hub_down", "331-1100 offline"}},
		"short, at the edge": {[]fact{{90, 120, CauseHubDown, ""}, {120, 1100, CauseOffline, ""}}, []string{"100-1100 offline"}},
		"two of one cause": {[]fact{{100, 600, CauseHubDown, "a"}, {600, 1100, CauseHubDown, "b"}},
			[]string{"100-600 hub_down", "600-1100 hub_down"}},
		"two reports of the same": {[]fact{{100, 600, CauseHubDown, "a"}, {590, 1100, CauseHubDown, "a"}}, []string{"100-1100 hub_down"}},
	} {
		var got []string
		for _, p := range explain(gap, c.facts, least) {
			got = append(got, fmt.Sprintf("%d-%d %s", p.from, p.to, p.cause))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
