package publish

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"portward/internal/durable"
	"portward/internal/update"
	"portward/internal/update/tufrepo"
)

// memoryFile lies beside the targets key.
const memoryFile = "published.json"

const maxMemory = 4 << 20

// A memory is what a publisher knows of what it signed that is not in the
// repository: whoever works from an older copy of that would sign a second
// version of the same number, and take recalls back. It lies beside the targets
// key, because whoever signs has that. Two publishers with copies of the key
// have a memory each; a new key's directory begins with what the repository says
// then.
type memory struct {
	file     string        // "": nothing is remembered
	Stand    tufrepo.Stand `json:"stand"`
	Recalled recalls       `json:"recalled"`
}

// recalls are the hashes that must not run, newest first, by CHANNEL/PLATFORM.
type recalls map[string][]string

// remember reads the memory in a directory of the targets key; none there is an
// empty one.
func remember(dir string) (*memory, error) {
	m := &memory{Recalled: recalls{}}
	if dir == "" {
		return m, nil
	}
	m.file = filepath.Join(dir, memoryFile)
	data, err := readBounded(m.file, maxMemory)
	if isMissing(err) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(data, m)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: what was published is not known: %w\nhint: remove it when the repository is the newest copy, and every recall is in it", m.file, err)
	}
	if m.Recalled == nil {
		m.Recalled = recalls{}
	}
	return m, nil
}

// allows says whether this is not an older copy of what was published before.
func (m *memory) allows(stand tufrepo.Stand) error {
	if !stand.IsBehind(m.Stand) {
		return nil
	}
	if stand.Root < m.Stand.Root {
		return fmt.Errorf("this is an older copy of the repository: its root is version %d, and %d was there (%s)\nhint: get the newest copy back, from the server perhaps",
			stand.Root, m.Stand.Root, m.file)
	}
	return fmt.Errorf("this is an older copy of the repository: its targets are version %d, and %d was published from here (%s)\n"+
		"hint: get the newest copy back, from the server perhaps; if it is lost, portward keys rotate online has machines forget that version",
		stand.Targets, m.Stand.Targets, m.file)
}

// lost answers what was recalled at a place and is not in this list any more. A
// full list may have dropped the oldest.
func (m *memory) lost(place string, bad []string) []string {
	if len(bad) >= maxBad {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(m.Recalled[place]), func(h string) bool { return slices.Contains(bad, h) })
}

// keeps says whether what is to be signed has everything that was recalled.
func (m *memory) keeps(next map[string]update.Release) error {
	for _, place := range slices.Sorted(maps.Keys(next)) {
		if lost := m.lost(place, next[place].Bad); len(lost) > 0 {
			channel, platform, _ := strings.Cut(place, "/")
			return fmt.Errorf("%s: the repository does not know that %.12s was recalled (%s)\n"+
				"hint: get the newest copy back; or --channel %s --platform %s --recall %s takes back everything again that was recalled",
				place, lost[0], m.file, channel, platform, lost[0])
		}
	}
	return nil
}

// learn adds recalls.
func (m *memory) learn(next map[string]update.Release) {
	for place, r := range next {
		if list := merge(r.Bad, m.Recalled[place]); len(list) > 0 {
			m.Recalled[place] = list
		}
	}
}

func (m *memory) write() error {
	if m.file == "" {
		return nil
	}
	data, err := json.Marshal(m)
	if err == nil {
		err = durable.Write(m.file, append(data, '\n'), 0o600)
	}
	if err != nil {
		return fmt.Errorf("remembering what was published: %w", err)
	}
	return nil
}

// merge answers both lists, the first one first, as many as a release may name.
func merge(first, second []string) []string {
	list := slices.Clone(first)
	for _, h := range second {
		if !slices.Contains(list, h) {
			list = append(list, h)
		}
	}
	return list[:min(len(list), maxBad)]
}

// sign has the repository sign, unless that would undo what was signed before.
// Recalls are remembered before anybody sees them; the version, which an attempt
// that failed has not reached, after it.
func (p *Publisher) sign(set map[string]tufrepo.NewTarget) error {
	m, err := remember(p.o.Keys.Targets)
	if err != nil {
		return err
	}
	next, err := releases(p.repo, set)
	if err != nil {
		return err
	}
	if err := m.allows(p.repo.Stand()); err != nil {
		return err
	}
	if err := m.keeps(next); err != nil {
		return err
	}
	if err := p.repo.Unlock(); err != nil {
		return err
	}
	m.learn(next)
	m.Stand = p.repo.Stand()
	if err := m.write(); err != nil {
		return err
	}
	if err := p.repo.Publish(set, nil, p.o.Now); err != nil {
		return err
	}
	m.Stand = p.repo.Stand()
	return m.write()
}

// releases answers what all channels and platforms will offer, by
// CHANNEL/PLATFORM.
func releases(repo repository, set map[string]tufrepo.NewTarget) (map[string]update.Release, error) {
	customs := map[string][]byte{}
	for name, t := range repo.Targets() {
		customs[name] = t.Custom
	}
	for name, t := range set {
		data, err := json.Marshal(t.Custom)
		if err != nil {
			return nil, err
		}
		customs[name] = data
	}
	all := map[string]update.Release{}
	for name, data := range customs {
		parts := strings.Split(name, "/")
		if len(parts) != 3 || name != update.SealName(parts[0], parts[1]) {
			continue
		}
		r, err := update.ParseRelease(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all[parts[0]+"/"+parts[1]] = r
	}
	return all, nil
}
