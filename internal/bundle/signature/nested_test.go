package signature

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"portward/internal/bundle/sign"
)

const netchild = "Contents/MacOS/netchild"

// refat makes the fat program anew of what change makes of its parts; one that is
// nil is left out.
func refat(t *testing.T, path string, change func(cpu uint32, part []byte) []byte) {
	t.Helper()
	data := read(t, path)
	all, err := slicesOf(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, s := range all {
		if part := change(s.cpu, data[s.offset:s.end()]); part != nil {
			to := filepath.Join(t.TempDir(), s.name())
			write(t, to, part)
			parts = append(parts, to)
		}
	}
	if err := sign.Fat(path, parts...); err != nil {
		t.Fatal(err)
	}
}

// older is another program of the same signer's, under the same identifier.
func (w *world) older(t *testing.T, cpu uint32) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "older")
	data := thin(cpu, map[uint32]uint32{cpuX86: 3}[cpu])
	data[0x1000] ^= 0xff
	write(t, path, data)
	if err := sign.File(path, "dev.portward.netchild", sign.Options{Identity: w.id, Runtime: true}); err != nil {
		t.Fatal(err)
	}
	return read(t, path)
}

// Rule: nested code is bound for every processor: nobody, not even its signer, can
// put an older one there, or leave one out.
func TestNestedForEveryProcessor(t *testing.T) {
	w := signedWorld(t)
	for _, cpu := range []uint32{cpuARM, cpuX86} {
		name := (slice{cpu: cpu}).name()
		for what, c := range map[string]struct {
			change func(part []byte) []byte
			want   string
		}{
			"older":    {func([]byte) []byte { return w.older(t, cpu) }, "requirement"},
			"left out": {func([]byte) []byte { return nil }, "nothing for " + name},
		} {
			dir := w.copy(t)
			refat(t, filepath.Join(dir, netchild), func(of uint32, part []byte) []byte {
				if of != cpu {
					return part
				}
				return c.change(part)
			})
			_, err := VerifyBundle(dir, w.options())
			if err == nil || !strings.Contains(err.Error(), netchild) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s %s: %v, want %q", name, what, err, c.want)
			}
		}
	}
}

// sealedElsewhere makes the seal of dir as a Mac's own tools do: with one hash
// beside the requirement, and none in it. The main program is signed anew.
func (w *world) sealedElsewhere(t *testing.T, dir string) {
	t.Helper()
	seal := read(t, filepath.Join(dir, resourcesFile))
	seal = regexp.MustCompile(` and \(cdhash[^<]*\)`).ReplaceAll(seal, nil)
	write(t, filepath.Join(dir, resourcesFile), seal)
	sum := sha256.Sum256(seal)
	refat(t, filepath.Join(dir, "Contents/MacOS/guiagent"), func(_ uint32, part []byte) []byte {
		return w.chain.forge(t, part, func(blobs map[uint32][]byte) {
			cd := blobs[slotDirectory]
			copy(cd[binary.BigEndian.Uint32(cd[16:])-32*slotResources:], sum[:])
		})
	})
}

// Rule: of a seal that was made elsewhere the report says which programs it knows
// by their signer only; ours leaves none.
func TestUnbound(t *testing.T) {
	w := signedWorld(t)
	count := func(dir string) (unbound []string) {
		t.Helper()
		r, err := VerifyBundle(dir, w.options())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Programs {
			if p.Unbound {
				unbound = append(unbound, filepath.Base(p.Path)+" "+p.CPU)
			}
		}
		return unbound
	}
	if got := count(w.dir); len(got) != 0 {
		t.Errorf("ours: %q", got)
	}
	dir := w.copy(t)
	w.sealedElsewhere(t, dir)
	if got := strings.Join(count(dir), ", "); got != "netchild arm64, supervisor arm64" {
		t.Errorf("elsewhere: %q", got)
	}
	path := filepath.Join(dir, netchild)
	good := read(t, path)
	replace := func(cpu uint32) {
		if err := os.WriteFile(path, good, 0o755); err != nil {
			t.Fatal(err)
		}
		refat(t, path, func(of uint32, part []byte) []byte {
			if of == cpu {
				return w.older(t, cpu)
			}
			return part
		})
	}
	replace(cpuARM)
	if got := strings.Join(count(dir), ", "); got != "netchild arm64, supervisor arm64" {
		t.Errorf("an older one for the other processor: %q", got)
	}
	replace(cpuX86)
	if _, err := VerifyBundle(dir, w.options()); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("an older one for the processor of the hash: %v", err)
	}
}
