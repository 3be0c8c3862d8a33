package subject

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"portward/internal/status"
	"portward/internal/update"
	"portward/internal/update/pipe"
)

// Names of subjects that are the product's engine.
const (
	Install = "first install" // the seed fetches the first release
	Update  = "update"        // a release replaces another, which has one retained
	Revert  = "revert"        // a release fails on trial
	Rescue  = "rescue"        // a release hangs on trial, and the rescue job undoes it
)

// Engine names the scenarios of the product's update engine.
var Engine = []string{Install, Update, Revert, Rescue}

// An engine drives internal/update as cmd/supervisor does, with a repository and
// a trust that are in memory, and processes that are only said to be there.
type engine struct {
	f          *Fixture
	name       string
	from, goal string // what lies there before, and in the end
	fails      bool   // what is on trial does not prove itself
}

func (f *Fixture) engine(name string) (Subject, error) {
	switch name {
	case Install:
		return engine{f, name, Seed, New, false}, nil
	case Update:
		return engine{f, name, Old, New, false}, nil
	case Revert, Rescue:
		return engine{f, name, Old, Old, true}, nil
	}
	return nil, errors.New("no such subject: " + name)
}

// boots tells the boots of the machine apart: a next start is on another one.
const (
	before = "before the power cut"
	after  = "after the power cut"
)

func config(root, boot string) update.Config {
	return update.Config{
		Live: live(root), Dir: filepath.Join(root, "update"), RetainedSeal: filepath.Join(root, "retained/seal.json"),
		Repo: true, Channel: channel, Platform: platform, Machine: "a machine", Boot: boot,
		Every: time.Hour, Attempts: 1 << 20, // so many starts that the harness may look as often as it likes
		Backoff: patient{},
	}
}

type patient struct{}

func (patient) NextBackOff() time.Duration { return time.Hour }
func (patient) Reset()                     {}

// Prepare installs what comes before with the engine itself, so that all its
// files are there, and where a trial is the scenario, goes as far as that.
func (e engine) Prepare(root string) error {
	if err := copyTree(e.f.bundle(Seed), live(root), true); err != nil {
		return err
	}
	if e.from == Seed {
		return e.Start(root, true)
	}
	if err := e.drive(course{root, before, Old, Old}, nil); err != nil {
		return err
	}
	if !e.fails {
		return nil
	}
	if err := e.turn(course{root, before, New, New}, nil); !errors.Is(err, update.ErrHandOver) {
		return fmt.Errorf("it was not exchanged: %w", err)
	}
	return nil
}

func (e engine) Act(root string, promise func(string)) error {
	if e.name == Rescue {
		if err := rescue(root); err != nil {
			return err
		}
		promise(Old)
	}
	return e.drive(course{root, before, New, e.goal}, promise)
}

func rescue(root string) error {
	for range 10 {
		reverted, err := update.Rescue(config(root, before))
		if err != nil || reverted {
			return err
		}
	}
	return errors.New("the rescue job did nothing")
}

func (e engine) Start(root string, proved bool) error {
	for range 5 {
		u, err := update.Open(config(root, after), e.env(root, nil, nil), trust{e.f, New})
		switch {
		case errors.Is(err, update.ErrHandOver):
			continue
		case err != nil:
			return err
		case u.Live() == nil:
			return errors.New("it takes the live bundle for damaged")
		case e.f.seals[u.Live().Hash()] == New && !u.OnTrial() && !proved:
			return ErrUntried
		}
		return nil
	}
	return errors.New("it hands over again and again")
}

// Resume also offers once more what failed: it must not be taken again.
func (e engine) Resume(root string) (string, error) {
	c := course{root, after, New, e.goal}
	if err := e.drive(c, nil); err != nil || !e.fails {
		return e.goal, err
	}
	c.goal = New
	err := e.turn(c, nil)
	if errors.Is(err, update.ErrHandOver) || err == nil {
		return e.goal, errors.New("it takes again what failed before")
	}
	if !errors.Is(err, errRefused) {
		return e.goal, err
	}
	return e.goal, nil
}

// A course is what supervisors are driven along.
type course struct {
	root, boot string
	present    string // the release that the repository has
	goal       string // what must come to rest at the live path
}

// drive starts a supervisor again and again, until one rests with the goal in
// place. promise, if not nil, is told when the goal lies there.
func (e engine) drive(c course, promise func(string)) error {
	for range 12 {
		err := e.turn(c, promise)
		if !errors.Is(err, update.ErrHandOver) {
			return err
		}
	}
	return errors.New("it hands over again and again")
}

// turn is the life of one supervisor. It is over when it hands over, when it
// rests with the goal in place (nil), or when the release does not go in.
func (e engine) turn(c course, promise func(string)) error {
	ctx, cancel := context.WithTimeout(context.Background(), e.f.Patience)
	defer cancel()
	r := &rest{goal: e.f.hash(c.goal), cancel: cancel}
	u, err := update.Open(config(c.root, c.boot), e.env(c.root, r.report, promise), trust{e.f, c.present})
	if err != nil {
		return err
	}
	r.running = true // Open reports as well
	if live := u.Live(); !u.OnTrial() && live != nil && live.Hash() != r.goal {
		u.Ask(update.Request{ID: "1", Op: "update"})
	}
	err = u.Run(ctx)
	handedOver := errors.Is(err, update.ErrHandOver)
	if which, lookErr := e.f.look(c.root); handedOver && lookErr == nil && which == c.goal && promise != nil {
		promise(which)
	}
	switch {
	case handedOver:
		return err
	case r.reached:
		return nil
	case r.refused != "":
		return fmt.Errorf("%w: %s", errRefused, r.refused)
	}
	return err
}

var errRefused = errors.New("it is not taken")

// A rest is what a supervisor reports when it has nothing to do.
type rest struct {
	goal    string // a hash
	cancel  func()
	running bool
	reached bool
	refused string
}

func (r *rest) report(p status.Payload) {
	if !r.running || p.Phase != status.Idle || p.Trial != nil {
		return
	}
	r.reached = p.Hash == r.goal
	for _, a := range p.Answers {
		r.refused = a.Error + a.Text
	}
	if r.reached || r.refused != "" {
		r.cancel()
	}
}

// env is a world in which every process does what it is told, at once.
func (e engine) env(root string, report func(status.Payload), promise func(string)) update.Env {
	return update.Env{
		Fetch:   e.f.fetch,
		Qualify: func(context.Context, string) error { return nil },
		Rescue:  func(context.Context, bool) error { return nil },
		Stop:    func(context.Context) error { return nil },
		Trial: func(_ context.Context, step update.TrialStep) error {
			step.Healthy(0)
			if which, err := e.f.look(root); e.fails && (err != nil || which == New) {
				return &update.Failure{Class: "crash", Text: "made to"}
			}
			if !step.First && promise != nil {
				promise(Proved)
			}
			return nil
		},
		Report: func(p status.Payload) {
			if report != nil {
				report(p)
			}
		},
	}
}

// fetch is a fetcher in this process.
func (f *Fixture) fetch(context.Context) (*pipe.Client, func(), error) {
	askR, askW := io.Pipe()
	answerR, answerW := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		answerW.CloseWithError(pipe.Serve(askR, answerW, repository{f}))
	}()
	end := func() {
		askW.Close()
		answerR.Close()
		<-done
	}
	return pipe.NewClient(answerR, askW), end, nil
}

// A repository serves the fixture's bundles.
type repository struct{ f *Fixture }

func (r repository) Get(name string, _ int64, _ string) ([]byte, error) {
	for hash, which := range r.f.seals {
		if name == "targets/"+channel+"/"+platform+"/"+hash+".seal.json" {
			return r.f.sealBytes(which)
		}
	}
	return nil, fmt.Errorf("%s: %w", name, pipe.ErrNotFound)
}

func (r repository) Prepare(pipe.Want) (pipe.Plan, error) { return pipe.Plan{}, nil }

func (r repository) File(f pipe.File, _ bool, to io.Writer, _ func(done, total int64)) error {
	path, ok := r.f.contents[f.SHA256]
	if !ok {
		return pipe.ErrNotFound
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	_, err = to.Write(data)
	return err
}
