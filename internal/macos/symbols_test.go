package macos_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Rule: what the bindings look up exists, is public, is there at the floor or
// looked up first, and has the C prototype that the Go signature says. It holds
// on any system: the sources are read, not run.
func TestSymbols(t *testing.T) {
	files, err := filepath.Glob("*_symbols.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var all []binding
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bindings(t, name, string(text))...)
	}
	symbols, prototypes := readSymbols(t, readFile(t, "testdata/symbols.txt")), readPrototypes(t, readFile(t, "testdata/prototypes.txt"))
	for _, fault := range faults(all, symbols, prototypes) {
		t.Error(fault)
	}
	t.Logf("%d symbols, %d prototypes", len(all), len(prototypes))
}

// Rule: structs of symbols are in files that the test above reads, and each of
// them says its library.
func TestSymbolsAreInTheirFiles(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		text := readFile(t, name)
		if strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_symbols.go") || name == "standin.go" {
			continue
		}
		if len(bindings(t, name, text)) > 0 {
			t.Errorf("%s has symbols and is not named *_symbols.go", name)
		}
	}
}

// Rule: every way in which a binding can be wrong is found, and said with the
// symbol's name.
func TestSymbolsNegative(t *testing.T) {
	const symbols = "/lib/x\tgood\t10.7\tpublic\n/lib/x\tnewer\t14.4\tpublic\n/lib/x\tsecret\t<=12.0\tprivate\n" +
		"/lib/x\tdatum\t10.7\tpublic\n/lib/x\tbare\t10.7\tpublic\n/lib/x\tstrange\t10.7\tpublic\n/lib/y\telsewhere\t10.7\tpublic\n"
	const prototypes = "10.7\tint good(const char *name, uint64_t flags);\tx.h\n14.4\tvoid newer(void);\tx.h\n" +
		"10.7\tvoid secret(void);\tx.h\n10.7\tchar *elsewhere(void);\tx.h\n10.7\tvoid strange(struct odd x);\tx.h\n"
	for _, c := range []struct{ field, want string }{
		{"good func(string, uint64) int32", ""},
		{"good func(unsafe.Pointer, uint64) int32", ""},
		{"datum address", ""},
		{"newer func() `c:\"optional\"`", ""},
		{"unheard func()", "unheard: /lib/x has no such symbol"},
		{"elsewhere func() unsafe.Pointer", "elsewhere: /lib/x has no such symbol"},
		{"newer func()", "newer: since macOS 14.4, and not optional"},
		{"secret func()", "secret: private"},
		{"bare func()", "bare: no prototype"},
		{"good address", "good: a function, bound as address"},
		{"datum string", "datum: neither function nor datum"},
		{"good func(string) int32", "good: 1 parameters, C has 2"},
		{"good func(string, uint64, Ref) int32", "good: 3 parameters, C has 2"},
		{"good func(string, uint32) int32", "good: parameter 2 is uint32, C has uint64_t"},
		{"good func(string, uint64) int64", "good: result is int64, C has int"},
		{"good func(string, uint64)", "good: result is nothing, C has int"},
		{"good func(Ref, uint64) int32", "good: parameter 1 is Ref, C has char*"},
		{"strange func(uint64)", "strange: parameter 1 is uint64, C has struct, which is unknown"},
	} {
		source := "package p\ntype s struct {\n_ struct{} `lib:\"/lib/x\"`\n" + c.field + "\n}\n"
		got := faults(bindings(t, "x_symbols.go", source), readSymbols(t, symbols), readPrototypes(t, prototypes))
		got = slices.DeleteFunc(got, func(f string) bool { return strings.HasSuffix(f, "looked up by nobody") })
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: %q, want %q", c.field, got, c.want)
		}
	}
	// A line that nothing looks up is a binding lost, or a list too long.
	left := faults(nil, readSymbols(t, symbols), nil)
	if !slices.Contains(left, "good: looked up by nobody") {
		t.Errorf("unused symbols: %q", left)
	}
	// A const char* result is copied; a char* one has to be freed.
	owned := bindings(t, "x_symbols.go", "package p\ntype s struct {\n_ struct{} `lib:\"/lib/y\"`\nelsewhere func() string\n}\n")
	if f := faults(owned, readSymbols(t, symbols), readPrototypes(t, prototypes)); !slices.Contains(f, "elsewhere: result is string, C has char*") {
		t.Errorf("a char* to be freed as a string: %q", f)
	}
}
