package wire

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"
	"testing"
)

// What every role may say in every phase, written down a second time and in
// another way than the table, and held against it for every kind there is.
const allowed = `
agent      fresh     hello
agent      greeted   attach detach lease relay
agent      attached  add attach detach lease relay
agent      leaving   detach
tool       fresh     hello
tool       greeted   relay
tool       attached
tool       leaving
server     fresh     goodbye
server     greeted   goodbye
server     attached  goodbye
server     leaving
netchild   fresh     check-in
netchild   greeted   beat goodbye lease
netchild   attached
netchild   leaving   beat
supervisor fresh
supervisor greeted   sessions
supervisor attached
supervisor leaving   sessions
caller     fresh     describe ping refresh
caller     greeted
caller     attached
caller     leaving
`

func TestPermitEveryRolePhaseKind(t *testing.T) {
	var got []string
	for role := RoleAgent; role <= RoleCaller; role++ {
		for phase := PhaseFresh; phase <= PhaseLeaving; phase++ {
			var kinds []string
			for kind := range samples() {
				if Permit(role, phase, kind) {
					kinds = append(kinds, string(kind))
				}
			}
			sort.Strings(kinds)
			line := fmt.Sprintf("%-10s %-9s %s", role, phase, strings.Join(kinds, " "))
			got = append(got, strings.TrimSpace(line))

			if Permit(role, phase, "x-later") != (len(kinds) > 0) {
				t.Errorf("%v, %v: an optional kind", role, phase)
			}
			for _, unknown := range []Kind{"", "later", "Hello", "x", "hello "} {
				if Permit(role, phase, unknown) {
					t.Errorf("%v, %v may say %q", role, phase, unknown)
				}
			}
		}
	}
	if g, w := strings.Join(got, "\n"), strings.TrimSpace(allowed); g != w {
		t.Errorf("permitted is\n%s\nbut should be\n%s", g, w)
	}
}

// Who is nobody, or nowhere, says nothing; and names are complete.
func TestPermitDefaultIsNo(t *testing.T) {
	for _, role := range []Role{0, RoleCaller + 1, 255} {
		for _, phase := range []Phase{0, PhaseFresh, PhaseLeaving + 1, 255} {
			for kind := range samples() {
				if Permit(role, phase, kind) || Permit(RoleAgent, PhaseLeaving+1, kind) || Permit(role, phase, "x-y") {
					t.Fatalf("%v in %v may say %s", role, phase, kind)
				}
			}
		}
		if !strings.HasPrefix(role.String(), "Role(") {
			t.Errorf("role %d has the name %v", role, role)
		}
	}
	if s := Phase(0).String(); s != "Phase(0)" {
		t.Error(s)
	}
}

// Replies belong to calls: nobody may open with one.
func TestNobodyOpensWithAReply(t *testing.T) {
	for _, kind := range []Kind{KindWelcome, KindRefusal, KindOK, KindPong, KindDescription, KindRelayed, KindTerms} {
		for role := RoleAgent; role <= RoleCaller; role++ {
			for phase := PhaseFresh; phase <= PhaseLeaving; phase++ {
				if Permit(role, phase, kind) {
					t.Errorf("%v may say %s", role, kind)
				}
			}
		}
	}
}

func TestNegotiate(t *testing.T) {
	for _, c := range []struct {
		ourMin, ourMax, min, max, want uint64
		err                            error
	}{
		{1, 1, 1, 1, 1, nil},
		{2, 5, 1, 3, 3, nil},
		{2, 5, 4, 9, 5, nil},
		{2, 5, 3, 4, 4, nil},
		{2, 5, 1, math.MaxUint64, 5, nil},
		{2, 5, 5, 5, 5, nil},
		{2, 5, 2, 2, 2, nil},
		{2, 5, 1, 1, 0, ErrVersion},
		{2, 5, 6, 6, 0, ErrVersion},
		{2, 5, 3, 2, 0, ErrMalformed},
		{2, 5, 0, 3, 0, ErrMalformed},
	} {
		got, err := negotiate(c.ourMin, c.ourMax, c.min, c.max)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%+v: got %d, %v", c, got, err)
		}
	}
	if v, err := Negotiate(VersionMin, VersionMax); v != VersionMax || err != nil {
		t.Errorf("we do not understand ourselves: %d, %v", v, err)
	}
}
