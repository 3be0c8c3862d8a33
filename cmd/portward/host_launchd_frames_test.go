package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"portward/internal/jobs"
	"portward/internal/program"
	"portward/internal/viewer"
)

func toldOf(t *testing.T, started time.Time, pairs ...any) (told toldAll) {
	t.Helper()
	var list []string
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, fmt.Sprintf(`{"id":%q,"frames":%d,"fps":2.5}`, pairs[i], pairs[i+1]))
	}
	text := fmt.Sprintf(`{"type":"hello","started":%q,"sessions":[%s]}`, started.Format(time.RFC3339Nano), strings.Join(list, ","))
	check(t, json.Unmarshal([]byte(text), &told))
	return told
}

// Rule: frames add up over netchild's lives, never go back, are those of a login's
// first screen alone, and a login of which nobody has heard has none.
func TestAudienceCounts(t *testing.T) {
	first, second := time.Now(), time.Now().Add(time.Minute)
	a := &audience{}
	for _, c := range []struct {
		told toldAll
		want string
	}{
		{toldAll{}, "501:0"},
		{toldOf(t, first, "501", 3), "501:3"},
		{toldOf(t, first, "501", 7, "501.1", 2), "501:7"},
		{toldOf(t, second, "501", 4), "501:11"},
		{toldOf(t, second), "501:11"},
		{toldOf(t, second, "501.1", 6), "501:11"},
		{toldOf(t, second, "501", 1, "502", 5), "501:12 502:5"},
		{toldOf(t, second, "501", 2), "501:13 502:5"},
	} {
		a.countLocked(c.told)
		var got []string
		for _, v := range a.views("501") {
			got = append(got, fmt.Sprintf("%s:%d", v.ID, v.Frames))
			if text := gapsInWords(v); text != "gaps are not measured" {
				t.Errorf("of gaps it says %q", text)
			}
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%q, want %q", s, c.want)
		}
	}
}

// Rule: a report without gaps says whether nobody measures them, and else nothing of it.
func TestGapsUnknownInTheReport(t *testing.T) {
	rep := newReport(snapshot{Sessions: []sessionView{{ID: "501", Frames: 1, GapsUnknown: true}, {ID: "502", Frames: 1}}}, time.Second)
	said := &strings.Builder{}
	check(t, rep.write(said))
	var got struct{ Sessions []map[string]any }
	check(t, json.Unmarshal([]byte(said.String()), &got))
	_, told := got.Sessions[1]["gaps_unknown"]
	if got.Sessions[0]["gaps_unknown"] != true || told {
		t.Errorf("%s", said)
	}
}

// Rule: who only counts starts no netchild, keeps none from leaving, and says once
// that it hears nothing.
func TestAudienceKeepsQuiet(t *testing.T) {
	h, _ := demo(t)
	said := &strings.Builder{}
	h.w.show = &screen{out: said}
	h.audience.state = t.TempDir() // no token
	none := []jobs.State{{Target: netchildTarget}, {Target: supervisorTarget, PID: 1}}
	for range 9 {
		if v := h.sessions(t.Context(), none); len(v) != 1 || v[0].ID != "501" || h.audience.vain != 0 {
			t.Fatalf("%+v, %d times in vain", v, h.audience.vain)
		}
	}
	for range 9 {
		h.sessions(t.Context(), []jobs.State{{Target: netchildTarget, PID: 1}})
	}
	if strings.Count(said.String(), "frames are not counted") != 1 {
		t.Errorf("said %q", said)
	}
	h.w.o.idle = time.Minute
	if v := h.sessions(t.Context(), none); v != nil || !errors.Is(h.count("501"), errors.ErrUnsupported) {
		t.Errorf("%+v", v)
	}
}

// Rule: what a real netchild tells its viewers is counted, by its own certificate and
// token; neither another token nor another certificate will do.
func TestAudienceOfAnUp(t *testing.T) {
	t.Parallel()
	r := startUp(t, upSpec{args: []string{"--source", "testcard"}})
	u := must(url.Parse(r.await("both logins stream", streaming).Viewer))(t)
	a := &audience{addr: u.Host, state: program.StateDir(r.root)}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ready := false; !ready; time.Sleep(20 * time.Millisecond) { // agents are let in before viewers
		told, err := a.hear(ctx)
		if ctx.Err() != nil {
			t.Fatalf("nothing heard: %v", err)
		}
		a.countLocked(told)
		views := a.views("1")
		ready = err == nil && len(views) == 2 && views[0].Frames > 0 && views[1].Frames > 0
	}
	for name, wrong := range map[string]string{"token": viewer.TokenPath(""), "certificate": viewer.IdentityFiles("")[0]} {
		other := &audience{addr: a.addr, state: t.TempDir()}
		_, _, err := viewer.LoadOrCreateIdentity(other.state)
		check(t, err)
		for _, path := range viewer.IdentityFiles(a.state) {
			if filepath.Base(path) != wrong {
				check(t, os.WriteFile(filepath.Join(other.state, filepath.Base(path)), must(os.ReadFile(path))(t), 0o600))
			}
		}
		if told, err := other.hear(ctx); err == nil {
			t.Errorf("another %s: %+v", name, told)
		}
	}
	r.stop()
}
