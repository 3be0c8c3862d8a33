package publish

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"portward/internal/bundle"
	"portward/internal/update"
)

// custom encodes a release that machines will read.
func custom(r update.Release) (json.RawMessage, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	_, err = update.ParseRelease(data)
	return data, err
}

// A present is what a channel offers now; the zero value: nothing.
type present struct {
	hash string
	update.Release
}

func (p *Publisher) present(channel, platform string) (present, error) {
	t, ok := p.repo.Targets()[update.SealName(channel, platform)]
	if !ok {
		return present{}, nil
	}
	r, err := update.ParseRelease(t.Custom)
	if err != nil {
		return present{}, fmt.Errorf("%s: %w", t.Name, err)
	}
	return present{t.SHA256, r}, nil
}

// past answers the history of what comes after it.
func (r present) past(next string) []string {
	if r.hash == "" {
		return nil
	}
	list := []string{r.hash}
	for _, h := range r.History {
		if h != next && h != r.hash && len(list) < maxHistory {
			list = append(list, h)
		}
	}
	return list
}

// earlier answers the seals of the n newest of a history that can be read.
func earlier(on shelf, history []string, n int) []*bundle.Seal {
	var list []*bundle.Seal
	for _, h := range history {
		if _, seal, err := on.seal(h); err == nil && len(list) < n {
			list = append(list, seal)
		}
	}
	return list
}

// platforms answers the channel's, sorted.
func platforms(repo repository, channel string) []string {
	var list []string
	for name := range repo.Targets() {
		if parts := strings.Split(name, "/"); len(parts) == 3 && parts[0] == channel && name == update.SealName(channel, parts[1]) {
			list = append(list, parts[1])
		}
	}
	slices.Sort(list)
	return list
}

// chosen answers one platform, or all of the channel's.
func (p *Publisher) chosen(channel, platform string) ([]string, error) {
	all := platforms(p.repo, channel)
	if platform == "" && len(all) > 0 {
		return all, nil
	}
	if platform != "" && slices.Contains(all, platform) {
		return []string{platform}, nil
	}
	return nil, fmt.Errorf("nothing is published for %s/%s", channel, cmp.Or(platform, "*"))
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
