package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"time"

	"portward/internal/bundle"
	"portward/internal/program"
	"portward/internal/update/pipe"
)

const (
	// maxRoot bounds a root's metadata, in bytes.
	maxRoot = 512 << 10
	// firstRootWithin is longer than a fetcher tries.
	firstRootWithin = 10 * time.Minute
)

// firstRoot answers the metadata with which trust begins: the file that --trust
// names, or what the repository says of itself the first time it is asked.
func (w *world) firstRoot(ctx context.Context) ([]byte, error) {
	if w.o.trust != "" {
		return os.ReadFile(w.o.trust)
	}
	w.show.say("asking %s for its keys", w.o.repo)
	root, err := w.fetch(ctx, "metadata/1.root.json", maxRoot)
	if err != nil {
		return nil, fmt.Errorf("the repository %s: %w\nhint: is it there, and was it made by portward keys init and portward publish?", w.o.repo, err)
	}
	sum := sha256.Sum256(root)
	w.show.say("trusting the keys of %s as it shows them now (1.root.json, SHA-256 %s); --trust FILE pins them", w.o.repo, fmt.Sprintf("%x", sum[:8]))
	return root, nil
}

// fetch gets one file of the repository as the supervisor gets all of them: from
// the seed's fetcher, which has the fetcher's account, directory and nothing
// else. This process speaks to no network.
func (w *world) fetch(ctx context.Context, name string, max int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, firstRootWithin)
	defer cancel()
	root := w.o.root
	hear, say, end, err := (&program.Program{Root: root}).Talk(ctx, &program.Child{
		Path: bundle.Layout(program.BundleDir(root)).Program("portward"), Args: []string{fetchVerb, "--root", root},
		As: w.people.fetch,
	})
	if err != nil {
		return nil, fmt.Errorf("the fetcher: %w", err)
	}
	data, err := pipe.NewClient(hear, say).Get(name, max, "")
	if ended := end(); err != nil && ended != nil {
		err = fmt.Errorf("the fetcher: %s", pipe.Clip(ended.Error()))
	}
	return data, err
}
