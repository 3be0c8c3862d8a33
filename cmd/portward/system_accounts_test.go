package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// A dsclMem plays dscl(1) on one machine's directory.
type dsclMem struct {
	records map[string]map[string]string // "/Users/x" -> attribute -> value
	breaks  int                          // the call that fails; 0 is none
	calls   int
}

func (d *dsclMem) run(_ context.Context, args ...string) (string, error) {
	if d.calls++; d.calls == d.breaks {
		return "", errors.New("killed")
	}
	switch verb, path := args[1], args[2]; verb {
	case "-list":
		var b strings.Builder
		for name, r := range d.records {
			base, ok := strings.CutPrefix(name, path+"/")
			if ok && len(args) == 4 && r[args[3]] != "" {
				fmt.Fprintf(&b, "%-20s %s\n", base, r[args[3]])
			} else if ok && len(args) == 3 {
				fmt.Fprintln(&b, base)
			}
		}
		return b.String(), nil
	case "-create":
		if d.records[path] == nil {
			d.records[path] = map[string]string{}
		}
		if len(args) == 5 {
			d.records[path][args[3]] = args[4]
		}
	case "-delete":
		if d.records[path] == nil {
			return "", errors.New("no such record")
		}
		delete(d.records, path)
	}
	return "", nil
}

// Rule: the accounts are made once, with numbers that nobody has, cannot log in,
// and what a killed run left is made whole.
func TestAccounts(t *testing.T) {
	ctx := context.Background()
	machine := func() *dsclMem {
		return &dsclMem{records: map[string]map[string]string{
			"/Users/root": {"UniqueID": "0"}, "/Users/_taken": {"UniqueID": "450"}, "/Groups/_group": {"PrimaryGroupID": "451"},
			"/Users/ann": {"UniqueID": "501"}, "/Users/nobody": {"UniqueID": "-2"},
		}}
	}
	whole := machine()
	who := must(directory{whole.run}.ensure(ctx))(t)
	if who != (accounts{452, 453, 454}) {
		t.Errorf("accounts are %v", who)
	}
	for i, name := range roles() {
		u, g, id := whole.records["/Users/"+name], whole.records["/Groups/"+name], fmt.Sprint(452+i)
		if u["UniqueID"] != id || u["PrimaryGroupID"] != id || g["PrimaryGroupID"] != id || u["UserShell"] != "/usr/bin/false" || u["IsHidden"] != "1" || u["Password"] != "*" {
			t.Errorf("%s is %v of %v", name, u, g)
		}
	}
	made := whole.calls
	if again := must(directory{whole.run}.ensure(ctx))(t); again != who || whole.calls != made+2 {
		t.Errorf("the second time: %v, %d calls", again, whole.calls-made)
	}
	for at := 1; at <= made; at++ {
		d := machine()
		d.breaks = at
		if _, err := (directory{d.run}).ensure(ctx); err == nil {
			t.Fatalf("call %d failed, and nobody noticed", at)
		}
		if got := must(directory{d.run}.ensure(ctx))(t); got != who {
			t.Errorf("after a kill at %d: %v", at, got)
		}
	}
	for range 2 {
		check(t, directory{whole.run}.remove(ctx))
	}
	if len(whole.records) != 5 {
		t.Errorf("left %v", whole.records)
	}
	root := machine()
	root.records["/Users/_portward"] = map[string]string{"UniqueID": "0"}
	if _, err := (directory{root.run}).ensure(ctx); err == nil || !strings.Contains(err.Error(), "number 0") {
		t.Errorf("root's number passes: %v", err)
	}
	full := machine()
	for id := firstRole; id <= lastRole; id++ {
		full.records[fmt.Sprintf("/Users/u%d", id)] = map[string]string{"UniqueID": fmt.Sprint(id)}
	}
	if _, err := (directory{full.run}).ensure(ctx); err == nil || !strings.Contains(err.Error(), "is free") {
		t.Errorf("a full directory passes: %v", err)
	}
}
