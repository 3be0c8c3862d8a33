package main

import (
	"os"
	"path/filepath"
	"testing"

	"portward/internal/evidence"
	"portward/internal/program"
	"portward/internal/status"
	"portward/internal/watchdog"
)

// Rule: the loop that judges lives does not wait for a disk; what is written by
// the end is all that was seen, and the latest status.
func TestADiskDelaysNoLife(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Dir(program.StatusPath(root)), 0o755); err != nil {
		t.Fatal(err)
	}
	store, err := evidence.Open(program.EvidenceDir(root), evidence.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	s := &supervisor{p: &program.Program{Root: root}, store: store, log: t.Logf, public: true, desk: openDesk()}
	defer close(s.desk)
	disk := make(chan struct{})
	s.desk.do(func() { <-disk }) // stands still
	s.report(watchdog.Status{State: watchdog.Lost, Life: 1})
	s.witness(1, watchdog.Death{Exit: &watchdog.Exit{Code: 1}})
	s.report(watchdog.Status{State: watchdog.Starting, Life: 2})
	s.witness(2, watchdog.Death{Exit: &watchdog.Exit{Code: 2}})
	s.report(watchdog.Status{State: watchdog.Up, Life: 3, PID: 30})
	if list, _ := store.List(); len(list) != 0 {
		t.Errorf("a disk that stands still took %+v", list)
	}
	close(disk)
	s.desk.clear()
	if list, _ := store.List(); len(list) != 2 || list[0].Life != 1 || list[1].Life != 2 {
		t.Errorf("written down: %+v", list)
	}
	if st, err := status.Read(program.StatusPath(root)); err != nil || st.NetChild.State != status.Up || st.NetChild.Life != 3 {
		t.Errorf("published: %+v, %v", st.NetChild, err)
	}
}
