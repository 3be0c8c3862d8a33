package macos_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A release of macOS.
type release struct{ major, minor int }

// The oldest macOS that is promised to run on.
func floor() release { return release{13, 0} }

func (r release) after(o release) bool {
	return r.major > o.major || r.major == o.major && r.minor > o.minor
}

// A binding is a field of a struct of symbols.
type binding struct {
	lib, name string
	optional  bool
	kind      string // "func", or the type of a datum
	in        []string
	out       string
}

// bindings are those of all structs in a source whose first field says a library.
func bindings(t *testing.T, name, source string) []binding {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []binding
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.StructType)
		if !ok || len(s.Fields.List) == 0 {
			return true
		}
		lib := tag(s.Fields.List[0]).Get("lib")
		if lib == "" {
			return true
		}
		for _, f := range s.Fields.List[1:] {
			for _, id := range f.Names {
				all = append(all, bindingOf(lib, id.Name, f))
			}
		}
		return false
	})
	return all
}

func tag(f *ast.Field) reflect.StructTag {
	if f.Tag == nil {
		return ""
	}
	text, _ := strconv.Unquote(f.Tag.Value)
	return reflect.StructTag(text)
}

func bindingOf(lib, name string, f *ast.Field) binding {
	b := binding{lib: lib, name: name, optional: tag(f).Get("c") == "optional", kind: types.ExprString(f.Type)}
	fn, ok := f.Type.(*ast.FuncType)
	if !ok {
		return b
	}
	b.kind = "func"
	for _, p := range fn.Params.List {
		for range max(1, len(p.Names)) {
			b.in = append(b.in, types.ExprString(p.Type))
		}
	}
	if fn.Results != nil {
		b.out = types.ExprString(fn.Results.List[0].Type)
	}
	return b
}

type symbol struct {
	since  release
	public bool
}

type key struct{ lib, name string }

func readSymbols(t *testing.T, text string) map[key]symbol {
	t.Helper()
	all := map[key]symbol{}
	for _, f := range lines(t, text, 4) {
		since, err := version(strings.TrimPrefix(f[2], "<="))
		if err != nil {
			t.Fatal(f, err)
		}
		all[key{f[0], f[1]}] = symbol{since, f[3] == "public"}
	}
	return all
}

func version(s string) (r release, err error) {
	major, minor, _ := strings.Cut(s, ".")
	if r.major, err = strconv.Atoi(major); err == nil {
		r.minor, err = strconv.Atoi(minor)
	}
	return r, err
}

// A prototype is a C function's: types without names and const.
type prototype struct {
	in  []cType
	out cType
}

type cType struct {
	base     string
	stars    int
	constant bool
}

func (c cType) String() string { return c.base + strings.Repeat("*", c.stars) }

func readPrototypes(t *testing.T, text string) map[string]prototype {
	t.Helper()
	all := map[string]prototype{}
	for _, f := range lines(t, text, 3) {
		head, params, ok := strings.Cut(strings.TrimSuffix(f[1], ");"), "(")
		if !ok {
			t.Fatal(f)
		}
		at := strings.LastIndexAny(head, " *") + 1
		p := prototype{out: readType(head[:at] + " result")}
		if strings.TrimSpace(params) != "void" {
			for param := range strings.SplitSeq(params, ",") {
				p.in = append(p.in, readType(param))
			}
		}
		all[head[at:]] = p
	}
	return all
}

func readType(s string) cType {
	c := cType{stars: strings.Count(s, "*")}
	var words []string
	for _, w := range strings.Fields(strings.ReplaceAll(s, "*", " ")) {
		if w == "const" {
			c.constant = true
		} else {
			words = append(words, w)
		}
	}
	c.base = words[0]
	if c.base == "unsigned" && len(words) > 1 && words[1] == "int" {
		c.base = "unsigned int"
	}
	return c
}

func lines(t *testing.T, text string, fields int) [][]string {
	t.Helper()
	var all [][]string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != fields {
			t.Fatalf("%q: %d fields", line, len(f))
		}
		all = append(all, f)
	}
	return all
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// faults says what is wrong, each with the symbol's name.
func faults(all []binding, symbols map[key]symbol, prototypes map[string]prototype) (found []string) {
	say := func(name, format string, args ...any) { found = append(found, name+": "+fmt.Sprintf(format, args...)) }
	used := map[key]bool{}
	for _, b := range all {
		s, ok := symbols[key{b.lib, b.name}]
		used[key{b.lib, b.name}] = true
		switch {
		case !ok:
			say(b.name, "%s has no such symbol", b.lib)
			continue
		case !s.public:
			say(b.name, "private")
		case s.since.after(floor()) && !b.optional:
			say(b.name, "since macOS %d.%d, and not optional", s.since.major, s.since.minor)
		}
		p, isFunc := prototypes[b.name]
		switch {
		case b.kind != "func" && isFunc:
			say(b.name, "a function, bound as %s", b.kind)
		case b.kind != "func" && b.kind != "address" && b.kind != "value":
			say(b.name, "neither function nor datum")
		case b.kind == "func" && !isFunc:
			say(b.name, "no prototype")
		case b.kind == "func":
			signatureFaults(b, p, say)
		}
	}
	for k := range symbols {
		if !used[k] {
			say(k.name, "looked up by nobody")
		}
	}
	return found
}

func signatureFaults(b binding, p prototype, say func(name, format string, args ...any)) {
	if len(b.in) != len(p.in) {
		say(b.name, "%d parameters, C has %d", len(b.in), len(p.in))
		return
	}
	for i, c := range p.in {
		if why := mismatch(b.in[i], c, false); why != "" {
			say(b.name, "parameter %d is %s", i+1, why)
		}
	}
	if why := mismatch(b.out, p.out, true); why != "" {
		say(b.name, "result is %s", why)
	}
}

func mismatch(goType string, c cType, result bool) string {
	want := goTypes(c, result)
	if slices.Contains(want, goType) {
		return ""
	}
	if goType == "" {
		goType = "nothing"
	}
	if want == nil {
		return fmt.Sprintf("%s, C has %s, which is unknown", goType, c)
	}
	return fmt.Sprintf("%s, C has %s", goType, c)
}

// goTypes are those that may stand for a C type. A pointer is unsafe.Pointer, or
// a Go string where C only reads it and nobody frees it, or a Ref for what is
// never looked into.
func goTypes(c cType, result bool) []string {
	switch {
	case c.stars == 0:
		return goScalar(c.base)
	case c.stars == 1 && c.base == "char" && c.constant:
		return []string{"string", "unsafe.Pointer"}
	case c.stars == 1 && c.base == "void":
		return []string{"unsafe.Pointer", "Ref"}
	case c.stars == 1 && c.base == "SCDynamicStoreContext":
		return []string{"unsafe.Pointer", "Ref"} // always NULL
	case c.stars == 1 && !result && slices.Contains(goScalar(c.base), "Ref"):
		return []string{"*Ref"}
	}
	return []string{"unsafe.Pointer"}
}

// goScalar is by the width and sign that both processors give a type.
func goScalar(base string) []string {
	switch base {
	case "void":
		return []string{""}
	case "bool", "Boolean":
		return []string{"bool"}
	case "int", "int32_t", "pid_t", "au_asid_t", "OSStatus", "kern_return_t":
		return []string{"int32"}
	case "unsigned int", "uint32_t", "uid_t", "gid_t", "SecCSFlags", "OSType", "IOSurfaceID", "IOSurfaceLockOptions",
		"mach_port_t", "CFStringEncoding", "CGDirectDisplayID":
		return []string{"uint32"}
	case "int64_t", "long", "CFIndex", "CFNumberType":
		return []string{"int64"}
	case "uint64_t", "CFTypeID":
		return []string{"uint64"}
	case "size_t":
		return []string{"uintptr"}
	case "double":
		return []string{"float64"}
	case "uuid_t": // an array: its address is passed
		return []string{"unsafe.Pointer"}
	case "xpc_object_t", "xpc_type_t", "xpc_connection_t", "xpc_endpoint_t", "xpc_handler_t", "xpc_dictionary_applier_t",
		"dispatch_queue_t", "dispatch_queue_attr_t", "dispatch_object_t", "dispatch_block_t", "SCDynamicStoreCallBack":
		return []string{"Ref"}
	}
	if strings.HasSuffix(base, "Ref") {
		return []string{"Ref"}
	}
	return nil
}
