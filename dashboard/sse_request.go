package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/telemetry-hub/telemetry-hub/hub/live"
)

// eventSub is one subscription of an event stream.
type eventSub struct {
	id          string
	destination string
	params      map[string]string
	resume      *live.Position // where the first event goes on; nil: from a snapshot, or it was sent
	seen        uint64         // offset of the last event; 0: none yet
}

// parseSubs returns what a request for an event stream asks for: where each goes on is in its parameters epoch and offset
// or, for a browser's EventSource, in Last-Event-ID.
func parseSubs(r *http.Request) ([]eventSub, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errors.New("the query is not url-encoded")
	}
	for name := range query {
		if name != "sub" {
			return nil, fmt.Errorf("there is no parameter %.40q here", name)
		}
	}
	texts := query["sub"]
	if len(texts) == 0 || len(texts) > maxSubscriptions {
		return nil, fmt.Errorf("ask for 1 to %d subscriptions", maxSubscriptions)
	}
	last := parseEventID(r.Header.Get("Last-Event-ID"))
	subs := make([]eventSub, 0, len(texts))
	for _, text := range texts {
		sub, err := parseSub(text)
		if err != nil {
			return nil, err
		}
		if sub.resume == nil {
			sub.resume = last
		}
		subs = append(subs, sub)
	}
	return subs, nil
}

// parseSub parses ID|DESTINATION|name=value&name=value.
func parseSub(text string) (eventSub, error) {
	id, rest, ok := strings.Cut(text, "|")
	destination, more, _ := strings.Cut(rest, "|")
	if !ok || destination == "" || len(id) > maxDestination || len(destination) > maxDestination {
		return eventSub{}, errors.New("sub must be ID|DESTINATION or ID|DESTINATION|PARAMETERS")
	}
	values, err := url.ParseQuery(more)
	if err != nil {
		return eventSub{}, errors.New("the parameters of a sub must be name=value&name=value, url-encoded once more")
	}
	sub := eventSub{id: id, destination: destination, params: map[string]string{}}
	for name, all := range values {
		for _, value := range all {
			if err := takeParameter(sub.params, destination, name, value); err != nil {
				return eventSub{}, fmt.Errorf("%s: %w", id, err)
			}
		}
	}
	sub.resume, err = positionOf(sub.params)
	return sub, err
}

// parseEventID returns the position in the id of an event, nil if it is none.
func parseEventID(id string) *live.Position {
	epoch, offset, ok := strings.Cut(id, ":")
	n, err := strconv.ParseUint(offset, 10, 64)
	if !ok || err != nil {
		return nil
	}
	return &live.Position{Epoch: epoch, Offset: n}
}
