package signature

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"portward/internal/bundle/sign"
)

// offset answers where the slice for cpu is in a fat file, and its image.
func offset(t *testing.T, file []byte, cpu uint32) (int64, *image) {
	t.Helper()
	all, err := slicesOf(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(s slice) bool { return s.cpu == cpu })
	img, err := readImage(bytes.NewReader(file[all[i].offset:all[i].end()]), all[i])
	if err != nil {
		t.Fatal(err)
	}
	return all[i].offset, img
}

// flip changes the byte of a program, of the slice for cpu, that where points to.
func flip(program string, cpu uint32, where func(img *image, s []byte) int64) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		path := filepath.Join(dir, program)
		data := read(t, path)
		at, img := offset(t, data, cpu)
		data[at+where(img, data[at:])] ^= 0x40
		write(t, path, data)
	}
}

// inBlob points into the blob of that slot.
func inBlob(slot uint32, at func(blob []byte) int64) func(*image, []byte) int64 {
	return func(img *image, s []byte) int64 {
		super := s[img.sigOffset:]
		for i := range binary.BigEndian.Uint32(super[8:]) {
			if entry := super[12+8*i:]; binary.BigEndian.Uint32(entry) == slot {
				start := int64(binary.BigEndian.Uint32(entry[4:]))
				blob := super[start:][:binary.BigEndian.Uint32(super[start+4:])]
				return img.sigOffset + start + at(blob)
			}
		}
		panic("no such blob")
	}
}

func at(n int64) func([]byte) int64 { return func([]byte) int64 { return n } }

func last(blob []byte) int64 { return int64(len(blob)) - 1 }

// of points to the beginning of text in the blob.
func of(text string) func([]byte) int64 {
	return func(blob []byte) int64 { return int64(bytes.Index(blob, []byte(text))) }
}

// edit replaces words in a file.
func edit(path, old, new string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		p := filepath.Join(dir, path)
		data := string(read(t, p))
		if !strings.Contains(data, old) {
			t.Fatalf("%s has no %q", path, old)
		}
		write(t, p, []byte(strings.Replace(data, old, new, 1)))
	}
}

func do(f func(dir string) error) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		if err := f(dir); err != nil {
			t.Fatal(err)
		}
	}
}

// header changes the table of a fat file: row 0 is the first slice.
func header(program string, row, field int, value func(old uint32, size int) uint32) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		p := filepath.Join(dir, program)
		data := read(t, p)
		at := 8 + archSize*row + 4*field
		binary.BigEndian.PutUint32(data[at:], value(binary.BigEndian.Uint32(data[at:]), len(data)))
		write(t, p, data)
	}
}

// bothFor says that both slices are for the processor of the first.
func bothFor(program string) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		p := filepath.Join(dir, program)
		data := read(t, p)
		copy(data[8+archSize:][:8], data[8:16])
		write(t, p, data)
	}
}

// Rule: nothing in a signed bundle can be changed, and the error names the file
// and the matter.
func TestTamperings(t *testing.T) {
	const main, net, super = "Contents/MacOS/guiagent", "Contents/MacOS/netchild", "Contents/MacOS/supervisor"
	const note = "Contents/Resources/note.txt"
	w := signedWorld(t)
	for name, c := range map[string]struct {
		tamper func(t *testing.T, dir string)
		want   []string
	}{
		"text":                     {flip(net, cpuARM, func(*image, []byte) int64 { return 0x1010 }), []string{net, "arm64", "page 1"}},
		"text of the other":        {flip(net, cpuX86, func(*image, []byte) int64 { return 0x1010 }), []string{net, "x86_64", "page 1"}},
		"text of main":             {flip(main, cpuARM, func(*image, []byte) int64 { return 0x1010 }), []string{main, "arm64", "page 1"}},
		"Mach-O header's flags":    {flip(net, cpuARM, func(*image, []byte) int64 { return 24 }), []string{net, "page 0"}},
		"linkedit":                 {flip(net, cpuARM, func(*image, []byte) int64 { return 0x4008 }), []string{net, "page 4"}},
		"identifier":               {flip(net, cpuARM, inBlob(slotDirectory, of("dev.portward"))), []string{net, "CMS signature"}},
		"team":                     {flip(net, cpuARM, inBlob(slotDirectory, of(team))), []string{net, "team"}},
		"flags":                    {flip(net, cpuARM, inBlob(slotDirectory, at(13))), []string{net, "CMS signature"}},
		"ad hoc claimed":           {flip(net, cpuARM, inBlob(slotDirectory, at(15))), []string{net, "CMS signature"}},
		"directory's version":      {flip(net, cpuARM, inBlob(slotDirectory, at(9))), []string{net, "version"}},
		"page hash":                {flip(net, cpuARM, inBlob(slotDirectory, last)), []string{net, "page 4"}},
		"requirement":              {flip(net, cpuARM, inBlob(slotRequirements, of("dev.portward"))), []string{net, "requirements"}},
		"requirement's operation":  {flip(net, cpuARM, inBlob(slotRequirements, at(35))), []string{net, "requirement"}},
		"entitlements":             {flip(net, cpuARM, inBlob(slotEntitlements, of("example"))), []string{net, "two forms differ"}},
		"entitlements in DER":      {flip(net, cpuARM, inBlob(slotEntitleDER, of("example"))), []string{net, "entitlements"}},
		"CMS attributes":           {flip(net, cpuARM, inBlob(slotCMS, of("cdhashes"))), []string{net, "CMS signature"}},
		"CMS signature":            {flip(net, cpuARM, inBlob(slotCMS, func(b []byte) int64 { return int64(len(b)) - 4 })), []string{net, "CMS signature"}},
		"certificate":              {flip(net, cpuARM, inBlob(slotCMS, of("Test Developer ID CA"))), []string{net, "certificate"}},
		"blob's slot":              {flip(net, cpuARM, func(img *image, _ []byte) int64 { return img.sigOffset + 15 }), []string{net, "slot"}},
		"after the signature":      {flip(net, cpuARM, func(img *image, s []byte) int64 { return img.sigOffset + img.sigLen - 1 }), []string{net, "not zero"}},
		"Info.plist":               {edit("Contents/Info.plist", "1.2.3", "1.2.4"), []string{main, "Info.plist", "not what was signed"}},
		"Info.plist's program":     {edit("Contents/Info.plist", "guiagent", "netchild"), []string{net, "Info.plist"}},
		"Info.plist leads outside": {edit("Contents/Info.plist", "guiagent", "../Resources/note.txt"), []string{"Contents/Info.plist", "CFBundleExecutable"}},
		"no Info.plist":            {do(func(d string) error { return os.Remove(d + "/Contents/Info.plist") }), []string{"Contents/Info.plist"}},
		"CodeResources":            {edit(resourcesFile, "note.txt", "vote.txt"), []string{main, "CodeResources", "not what was signed"}},
		"no CodeResources":         {do(func(d string) error { return os.RemoveAll(d + "/Contents/_CodeSignature") }), []string{resourcesFile}},
		"resource changed":         {edit(note, "note", "vote"), []string{note, "not what was sealed"}},
		"resource longer":          {edit(note, "note", "notes"), []string{note, "not what was sealed"}},
		"daemon's plist changed":   {edit("Contents/Library/LaunchDaemons/dev.portward.plist", "daemon", "demons"), []string{"dev.portward.plist", "not what was sealed"}},
		"resource removed":         {do(func(d string) error { return os.Remove(d + "/" + note) }), []string{note, "missing"}},
		"resource renamed":         {do(func(d string) error { return os.Rename(d+"/"+note, d+"/Contents/Resources/Note.txt") }), []string{"Note.txt", "not sealed"}},
		"resource added":           {do(func(d string) error { return os.WriteFile(d+"/Contents/Resources/more", nil, 0o644) }), []string{"Contents/Resources/more", "not sealed"}},
		"program added":            {do(func(d string) error { return os.WriteFile(d+"/Contents/MacOS/more", nil, 0o755) }), []string{"Contents/MacOS/more", "not sealed"}},
		"file Apple leaves out":    {do(func(d string) error { return os.WriteFile(d+"/Contents/Resources/.DS_Store", nil, 0o644) }), []string{".DS_Store", "not sealed"}},
		"file in signature":        {do(func(d string) error { return os.WriteFile(d+"/Contents/_CodeSignature/more", nil, 0o644) }), []string{"_CodeSignature/more", "not sealed"}},
		"file at the top":          {do(func(d string) error { return os.WriteFile(d+"/more", nil, 0o644) }), []string{"more", "beside Contents"}},
		"false ticket":             {do(func(d string) error { return os.WriteFile(d+"/Contents/CodeResources", nil, 0o644) }), []string{"Contents/CodeResources", "ticket"}},
		"link out added":           {do(func(d string) error { return os.Symlink("/etc/passwd", d+"/Contents/Resources/link") }), []string{"Contents/Resources/link", "not sealed"}},
		"resource becomes link":    {do(func(d string) error { return swapForLink(d+"/"+note, "en.lproj/words.strings") }), []string{note, "not what was sealed"}},
		"program becomes link":     {do(func(d string) error { return swapForLink(d+"/"+net, "supervisor") }), []string{net, "not what was sealed"}},
		"main becomes link":        {do(func(d string) error { return swapForLink(d+"/"+main, "netchild") }), []string{main}},
		"directory becomes link":   {do(func(d string) error { return swapForLink(d+"/Contents/Resources/en.lproj", "/tmp") }), []string{"en.lproj", "not sealed"}},
		"Contents becomes link":    {do(func(d string) error { return swapForLink(d+"/Contents", "/") }), []string{"Contents"}},
		"pipe":                     {do(func(d string) error { return swapForPipe(d + "/" + note) }), []string{note}},
		"programs swapped":         {do(func(d string) error { return exchange(d+"/"+net, d+"/"+super) }), []string{net, "requirement"}},
		"main for another":         {do(func(d string) error { return exchange(d+"/"+net, d+"/"+main) }), []string{main, "Info.plist"}},
		"truncated":                {do(func(d string) error { return os.Truncate(d+"/"+net, 0x9000) }), []string{net, "ends"}},
		"empty":                    {do(func(d string) error { return os.Truncate(d+"/"+net, 0) }), []string{net, "EOF"}},
		"longer":                   {do(func(d string) error { return appendTo(d+"/"+net, "x") }), []string{net, "after the last slice"}},
		"set-id":                   {do(func(d string) error { return os.Chmod(d+"/"+net, 0o755|os.ModeSetuid) }), []string{net, "set-id"}},
		"others may write":         {do(func(d string) error { return os.Chmod(d+"/"+note, 0o666) }), []string{note, "others may write"}},
		"others may add":           {do(func(d string) error { return os.Chmod(d+"/Contents/Resources", 0o777) }), []string{"Contents/Resources", "others may write"}},
		"slices overlap":           {header(net, 1, 2, func(uint32, int) uint32 { return 0x4000 }), []string{net, "overlaps"}},
		"slice too long":           {header(net, 1, 3, func(old uint32, _ int) uint32 { return old + 0x4000 }), []string{net, "ends at"}},
		"slice too short":          {header(net, 1, 3, func(old uint32, _ int) uint32 { return old - 16 }), []string{net, "after the last slice"}},
		"slice nowhere":            {header(net, 0, 2, func(uint32, int) uint32 { return 0xffffc000 }), []string{net}},
		"slice without alignment":  {header(net, 0, 4, func(uint32, int) uint32 { return 40 }), []string{net, "aligned"}},
		"two for a processor":      {bothFor(net), []string{net, "there twice"}},
		"slice of another":         {header(net, 0, 0, func(uint32, int) uint32 { return 7 }), []string{net, "fat header"}},
		"fewer slices":             {do(func(d string) error { return poke(d+"/"+net, 7, 1) }), []string{net}},
		"more slices":              {do(func(d string) error { return poke(d+"/"+net, 7, 3) }), []string{net}},
		"256 slices":               {do(func(d string) error { return poke(d+"/"+net, 6, 1) }), []string{net, "258 slices"}},
		"hidden between slices":    {do(func(d string) error { return poke(d+"/"+net, 0x3000, 1) }), []string{net, "padding"}},
		"one slice unsigned":       {unsignOne(net), []string{net, "x86_64", "not signed"}},
		"one slice ad hoc":         {adHocOne(net), []string{net, "x86_64", "team"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := w.copy(t)
			c.tamper(t, dir)
			_, err := VerifyBundle(dir, w.options())
			if err == nil {
				t.Fatal("believed")
			}
			for _, word := range c.want {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%v: without %q", err, word)
				}
			}
		})
	}
}

func swapForLink(path, target string) error {
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return os.Symlink(target, path)
}

func exchange(a, b string) error {
	for _, r := range [][2]string{{a, a + "~"}, {b, a}, {a + "~", b}} {
		if err := os.Rename(r[0], r[1]); err != nil {
			return err
		}
	}
	return nil
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}

func poke(path string, at int64, value byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt([]byte{value}, at)
	return err
}

// rebuild makes the fat program of the two thin ones again, the second as other
// makes it.
func rebuild(program string, other func(t *testing.T, x86 string)) func(*testing.T, string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		path := filepath.Join(dir, program)
		data := read(t, path)
		all, err := slicesOf(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		tmp := t.TempDir()
		arm, x86 := filepath.Join(tmp, "arm"), filepath.Join(tmp, "x86")
		i := slices.IndexFunc(all, func(s slice) bool { return s.cpu == cpuARM })
		write(t, arm, data[all[i].offset:all[i].end()])
		write(t, x86, thin(cpuX86, 3))
		other(t, x86)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := sign.Fat(path, arm, x86); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func unsignOne(program string) func(*testing.T, string) {
	return rebuild(program, func(*testing.T, string) {})
}

func adHocOne(program string) func(*testing.T, string) {
	return rebuild(program, func(t *testing.T, x86 string) {
		if err := sign.File(x86, "dev.portward.netchild", sign.Options{Identity: sign.AdHoc()}); err != nil {
			t.Fatal(err)
		}
	})
}

func swapForPipe(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return syscall.Mkfifo(path, 0o644)
}
