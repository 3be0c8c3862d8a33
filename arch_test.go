package portward_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "portward"

// A room is a package of ours, what of ours it may import itself, and what it
// must not contain, not even through others.
type room struct {
	may   []string // rooms; "*" for any but suites
	never []string // packages of the standard library, of ours, or modules
	why   string
}

var (
	anyRoom = []string{"*"}
	alone   = []string{}
)

// rooms is the whole house: a package that is not in it fails the test, and so
// does a row without a package.
var rooms = map[string]room{
	"cmd/supervisor": {anyRoom, []string{
		"net/http", "crypto/tls", "go.uber.org/zap", "github.com/coder/websocket",
		"internal/surface", "internal/hub", "internal/viewer", "internal/capture", "internal/counters",
		"internal/update/fetch", "internal/update/delta", "internal/update/publish", "internal/bundle/sign", "internal/bundle/signature", "github.com/klauspost/compress/zstd",
	}, "root never touches the network or decodes what came from it, a picture, or a message from a user's process"},
	"cmd/netchild": {anyRoom, []string{
		"internal/update", "internal/update/tufrepo", "internal/update/fetch", "internal/request",
		"internal/watchdog", "internal/evidence", "internal/capture",
	}, "netchild never touches the bundle's updates, other processes or the supervisor's state"},
	"cmd/guiagent": {anyRoom, []string{
		"internal/update", "internal/update/tufrepo", "internal/update/fetch", "internal/request",
		"internal/watchdog", "internal/evidence", "internal/hub", "internal/viewer", "github.com/coder/websocket",
	}, "an agent has displays and a connection, and no way to root or the network"},
	"cmd/portward": {anyRoom, []string{
		"internal/watchdog",
	}, "the tool asks the supervisor and never decides in its place"},

	"internal/watchdog":            {alone, []string{"net", "os/exec"}, "the rules of life and death are tested with no process and no disk; std only"},
	"internal/wire":                {alone, []string{"net", "os/exec"}, "what is said is independent of how it travels"},
	"internal/xpcpeer":             {[]string{"internal/linux", "internal/wire", "internal/macos"}, []string{"net/http", "internal/surface"}, "it carries dictionaries and handles and knows neither surfaces nor kinds"},
	"internal/jobs":                {[]string{"internal/durable"}, []string{"net/http", "internal/watchdog", "internal/wire"}, "an engine knows plists and processes, not this product"},
	"internal/linux":               {alone, nil, "the room of unsafe code stays small and knows nobody"},
	"internal/macos":               {alone, []string{"net/http", "os/exec"}, "C functions with their types, and no idea what for"},
	"internal/page":                {[]string{"internal/linux"}, nil, "words shared by two processes, without a meaning"},
	"internal/deadman":             {[]string{"internal/linux", "internal/page"}, nil, "a timer and a page; who dies of it is not its business"},
	"internal/counters":            {[]string{"internal/page"}, nil, "numbers in a page; no picture and no peer"},
	"internal/surface":             {[]string{"internal/linux", "internal/wire", "internal/macos"}, []string{"net/http", "internal/xpcpeer"}, "pixels and the handles in messages; never how these travel"},
	"internal/capture/capturetest": {alone, nil, "it starts X servers and knows no capture"},
	"internal/capture":             {[]string{"internal/surface", "internal/macos"}, []string{"net/http"}, "sources fill buffers and know no consumer"},
	"internal/hub":                 {[]string{"internal/surface"}, []string{"net/http", "internal/xpcpeer"}, "frames to updates; neither agents' connections nor browsers"},
	"internal/viewer":              {[]string{"internal/hub", "internal/durable"}, []string{"internal/xpcpeer", "internal/jobs"}, "browsers see updates; nothing of agents but what the hub says"},
	"internal/durable":             {alone, nil, "the one room that knows fsync knows nothing else"},
	"internal/status":              {[]string{"internal/durable"}, []string{"internal/watchdog", "internal/evidence", "net/http"}, "everybody reads it, so it can hold nothing secret"},
	"internal/evidence":            {[]string{"internal/durable"}, []string{"internal/watchdog", "net/http"}, "it remembers deaths and judges none"},
	"internal/bundle":              {[]string{"internal/durable"}, []string{"net/http", "internal/jobs"}, "what is in a bundle, not what runs it"},
	"internal/bundle/requirement":  {alone, []string{"net/http", "os/exec"}, "a language; who is asked is somebody else's business"},
	"internal/bundle/signature":    {[]string{"internal/bundle/requirement"}, []string{"net/http", "os/exec", "internal/bundle/sign", "github.com/sassoftware/relic/v8"}, "it reads what sign writes, and neither knows the other's way"},
	"internal/bundle/sign":         {[]string{"internal/bundle/requirement", "internal/durable"}, []string{"internal/jobs", "internal/bundle/signature"}, "it writes signatures and believes none; the publisher's side"},

	"internal/config":  {[]string{"internal/durable"}, nil, "values from a file, not their use"},
	"internal/fault":   {alone, nil, "failing on request needs no room, and no room needs it"},
	"internal/program": {[]string{"internal/bundle", "internal/bundle/requirement", "internal/durable", "internal/jobs", "internal/macos", "internal/wire", "internal/xpcpeer", "launchd"}, []string{"internal/surface", "internal/watchdog", "net/http"}, "what all programs do at start, so it drags nothing into the supervisor"},
	"launchd":          {alone, nil, "files and names"},
	"internal/request": {[]string{"internal/durable"}, []string{"net/http", "internal/update", "internal/status"}, "a request is laid and taken here, never judged"},

	"internal/update":         {[]string{"internal/bundle", "internal/durable", "internal/macos", "internal/status", "internal/update/pipe"}, []string{"net", "os/exec", "internal/update/tufrepo", "internal/watchdog", "internal/jobs"}, "rules, a journal and one exchange; no network, no process, no form of metadata"},
	"internal/update/pipe":    {alone, []string{"net", "os/exec"}, "the words between root and its fetcher, and no belief in them"},
	"internal/update/tufrepo": {[]string{"internal/durable", "internal/update/pipe"}, []string{"net/http", "crypto/tls", "os/exec"}, "bytes and a time in, an error out; root links it"},
	"internal/update/fetch":   {[]string{"internal/linux", "internal/update/pipe", "internal/update/delta"}, []string{"internal/durable", "internal/bundle", "internal/update/tufrepo"}, "it downloads and decodes, and nobody believes it"},
	"internal/update/delta":   {alone, []string{"net", "os/exec"}, "old bytes and a patch in, new bytes out"},
	"internal/update/publish": {[]string{"internal/bundle", "internal/bundle/signature", "internal/durable", "internal/update", "internal/update/delta", "internal/update/fetch", "internal/update/pipe", "internal/update/tufrepo"}, []string{"internal/jobs", "internal/watchdog"}, "the publisher's side, which no machine of a user runs"},

	"internal/update/delta/deltatest": {[]string{"internal/update/delta"}, nil, "a suite knows its interface"},
	"internal/macos/macostest":        {[]string{"internal/macos"}, nil, "it builds the stand-in"},
	"internal/jobs/jobstest":          {[]string{"internal/jobs"}, nil, "a suite knows its interface"},
	"internal/xpcpeer/xpcpeertest":    {[]string{"internal/xpcpeer", "internal/wire"}, nil, "a suite knows its interface"},
	"internal/surface/surfacetest":    {[]string{"internal/surface", "internal/wire"}, nil, "a suite knows its interface"},
	"internal/viewer/viewertest":      {alone, nil, "a browser at the page, like a person: it needs the address only"},
}

// Rooms with rules of their own.
var (
	unsafeRooms = []string{"internal/linux", "internal/macos", "proof/syscalls"}
	rootRooms   = []string{"cmd/supervisor", "internal/watchdog", "internal/update", "internal/update/pipe"}
	stdOnly     = []string{"internal/watchdog"}
)

const (
	maxFileLines     = 500
	maxRootLines     = 3999 // rootRooms together, of code: what runs as root is read in an afternoon
	maxRootProgramMB = 11   // stripped
	platforms        = "linux/amd64 darwin/arm64 darwin/amd64"
)

// A listed package is what "go list -json" says of one.
type listed struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Deps       []string
	GoFiles    []string
	Error      *struct{ Err string }
}

func (p listed) room() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

// goList answers all packages of ours, as they are built for that platform.
func goList(t *testing.T, platform string) []listed {
	t.Helper()
	goos, goarch, _ := strings.Cut(platform, "/")
	cmd := exec.Command("go", "list", "-json=ImportPath,Standard,Imports,Deps,GoFiles,Error", "./...")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list for %s: %v: %s", platform, err, stderr.String())
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if p.ImportPath != module { // the top directory holds this test only
			all = append(all, p)
		}
	}
}

// Rule: who may import whom, on every platform.
func TestWhoMayImportWhom(t *testing.T) {
	for _, platform := range strings.Fields(platforms) {
		found := map[string]bool{}
		for _, p := range goList(t, platform) {
			found[p.room()] = true
			r, known := rooms[p.room()]
			if !known {
				t.Errorf("%s is a room without a row in this table", p.room())
				continue
			}
			for _, violation := range violations(p, r) {
				t.Errorf("%s: %s %s: %s", platform, p.room(), violation, r.why)
			}
		}
		for name := range rooms {
			if !found[name] {
				t.Errorf("%s: there is a row for %s and no such room", platform, name)
			}
		}
	}
}

func violations(p listed, r room) []string {
	var list []string
	for _, imported := range p.Imports {
		ours, isOurs := strings.CutPrefix(imported, module+"/")
		switch {
		case isOurs && isSuite(ours):
			list = append(list, "imports the suite "+ours)
		case isOurs && !slices.Contains(r.may, "*") && !slices.Contains(r.may, ours):
			list = append(list, "imports "+ours)
		case imported == "testing" && !isSuite(p.room()):
			list = append(list, "imports testing")
		case imported == "C":
			list = append(list, "imports C")
		case slices.Contains(stdOnly, p.room()) && strings.Contains(imported, "."):
			list = append(list, "imports "+imported)
		}
	}
	for _, banned := range r.never {
		if strings.HasPrefix(banned, "internal/") {
			banned = module + "/" + banned
		}
		if slices.Contains(p.Deps, banned) {
			list = append(list, "contains "+banned)
		}
	}
	return list
}

func isSuite(name string) bool { return strings.HasSuffix(name, "test") }

// A source is one file of ours, whatever it is built for.
type source struct {
	path  string // from the top, with slashes
	file  *ast.File
	lines int
	code  int // lines that are neither blank nor comment
}

func (s source) room() string { return path.Dir(s.path) }
func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
		all = append(all, source{filepath.ToSlash(name), file, bytes.Count(text, []byte("\n")), codeLines(string(text))})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// codeLines counts what is neither blank nor a comment of its own line.
func codeLines(text string) (n int) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "//") {
			n++
		}
	}
	return n
}

func (s source) imports() []string {
	var list []string
	for _, spec := range s.file.Imports {
		if name, err := strconv.Unquote(spec.Path.Value); err == nil {
			list = append(list, name)
		}
	}
	return list
}

// Rule: unsafe code lives in one small room per system, tests included.
func TestUnsafe(t *testing.T) {
	for _, s := range sources(t) {
		if slices.Contains(s.imports(), "unsafe") && !slices.Contains(unsafeRooms, s.room()) {
			t.Errorf("%s imports unsafe: only %q may", s.path, unsafeRooms)
		}
	}
}

// Rule: what a package does starts where it is called, not where it is
// imported.
func TestNoInit(t *testing.T) {
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function", s.path)
			}
		}
	}
}

// Rule: each package says once what it knows and what it must never know.
func TestPackageComments(t *testing.T) {
	comments := map[string]int{}
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		comments[s.room()] += 0
		if s.file.Doc == nil {
			continue
		}
		comments[s.room()]++
		want := "Package " + s.file.Name.Name + " "
		if s.file.Name.Name == "main" {
			want = "Command " + path.Base(s.room()) + " "
		}
		text := strings.Join(strings.Fields(s.file.Doc.Text()), " ")
		if !strings.HasPrefix(text, want) {
			t.Errorf("%s: the package comment does not begin with %q", s.path, want)
		}
		if !strings.Contains(text, "never") && !isSuite(s.room()) {
			t.Errorf("%s: the package comment does not say what it must never know", s.path)
		}
	}
	for name, n := range comments {
		if n != 1 {
			t.Errorf("%s has %d package comments", name, n)
		}
	}
}

// Rule: a file is read in one sitting, and so is all that runs as root.
func TestLines(t *testing.T) {
	root := 0
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		if s.lines > maxFileLines {
			t.Errorf("%s has %d lines, at most %d are allowed", s.path, s.lines, maxFileLines)
		}
		if slices.Contains(rootRooms, s.room()) {
			root += s.code
		}
	}
	if root > maxRootLines {
		t.Errorf("%q have %d lines of code, at most %d are allowed", rootRooms, root, maxRootLines)
	}
	t.Logf("%q: %d lines of code", rootRooms, root)
}

// Rule: the root program stays small.
func TestRootProgramSize(t *testing.T) {
	program := filepath.Join(t.TempDir(), "supervisor")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "./cmd/supervisor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxRootProgramMB*1_000_000 {
		t.Errorf("supervisor has %d bytes, at most %d MB are allowed", info.Size(), maxRootProgramMB)
	}
	t.Logf("supervisor: %d bytes", info.Size())
}

// Rule: each module that we import ourselves has its decision.
func TestModulesHaveDecisions(t *testing.T) {
	decided := decisions(t)
	undecided := map[string][]string{}
	for _, s := range sources(t) {
		for _, name := range s.imports() {
			first, _, _ := strings.Cut(name, "/")
			if strings.Contains(first, ".") && !isDecided(decided, name) {
				undecided[name] = append(undecided[name], s.path)
			}
		}
	}
	for name, files := range undecided {
		t.Errorf("%s is in no docs/decisions (%s)", name, files[0])
	}
}

func decisions(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("docs/decisions/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no decisions: %v", err)
	}
	var all strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkDecision(string(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		all.Write(text)
	}
	return all.String()
}

// isDecided: a module is named in code quotes, and covers what is below it.
func isDecided(decided, imported string) bool {
	for name := imported; strings.Contains(name, "/"); name = path.Dir(name) {
		if strings.Contains(decided, "`"+name+"`") {
			return true
		}
	}
	return false
}

// checkDecision: a decision is one dated page of four parts.
func checkDecision(text string) error {
	for _, part := range []string{"\nDate: 20", "\n## Status\n", "\n## Context\n", "\n## Decision\n", "\n## Consequences\n"} {
		if !strings.Contains(text, part) {
			return fmt.Errorf("no %q", strings.TrimSpace(part))
		}
	}
	return nil
}
