package program

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"portward/internal/bundle/requirement"
)

// ErrHidden is in the error of Runs where the system does not show which program
// a peer runs.
var ErrHidden = errors.New("its program is not shown")

// ErrNobody: nothing says by what signature a program is known.
var ErrNobody = errors.New("nobody says by what signature it is known")

// An Identifier knows programs of the product by their bytes: those of a bundle,
// and of the one before it while they may still run.
type Identifier interface {
	Identify(*os.File) (string, error)
}

// PeersPath is where a product whose programs have no team's signature says how
// they are known: an object of requirements, in Apple's language, by identifier.
// Programs that were signed ad hoc are known by their cdhash.
func PeersPath(root string) string { return filepath.Join(root, "etc", "peers.json") }

// maxPeers bounds that file; a larger one is refused unread.
const maxPeers = 64 << 10

// Requirement answers what the signature of a peer must satisfy that is one of
// these programs, for xpcpeer.Config. It is empty, and no peer would be believed,
// where the system asks for none or nobody says what one is known by.
func (p *Program) Requirement(identifiers ...string) string {
	var all []string
	for _, id := range identifiers {
		text := p.peers[id]
		if text == "" && p.team != "" {
			text = requirement.ForPeers(p.team, id)
		}
		if text == "" {
			return ""
		}
		all = append(all, text)
	}
	if len(all) == 1 {
		return all[0]
	}
	return "(" + strings.Join(all, ") or (") + ")"
}

// readPeers reads such a file; nobody has to write one. It believes it if only
// root or whoever runs this could have written it.
func readPeers(path string) (map[string]string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil {
		err = believable(info)
	}
	var peers map[string]string
	if err == nil {
		peers, err = parsePeers(io.LimitReader(f, maxPeers+1))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return peers, nil
}

func believable(info fs.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return errors.New("not a regular file")
	case !ok || st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return errors.New("belongs neither to root nor to the user of this program")
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("mode %04o, and nobody else may write it", info.Mode().Perm())
	case info.Size() > maxPeers:
		return fmt.Errorf("larger than %d bytes", maxPeers)
	}
	return nil
}

// parsePeers takes one flat object, each key once, of requirements.
func parsePeers(r io.Reader) (map[string]string, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.Join(errors.New("not a JSON object"), err)
	}
	peers := map[string]string{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		id, words := key.(string), "" // of an object's keys the decoder makes sure
		if err := dec.Decode(&words); err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		if _, twice := peers[id]; twice || id == "" {
			return nil, fmt.Errorf("identifier %q is empty or there twice", id)
		}
		rule, err := requirement.Parse(words)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		peers[id] = rule.String()
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one object")
	}
	return peers, nil
}

// checkPeers refuses to know no way to tell a peer.
func (p *Program) checkPeers(identifiers []string) error {
	for _, id := range identifiers {
		if p.Requirement(id) == "" {
			return fmt.Errorf("%s: %w: this program has no Team ID, and %s does not name it\nhint: sign the bundle with a Developer ID, or let `portward up` sign it ad hoc", id, ErrNobody, PeersPath(p.Root))
		}
	}
	return nil
}
