package fetch

import (
	"fmt"
	"path/filepath"

	"portward/internal/update/pipe"
)

// spare is left on the cache's disk for others: journals above all.
const spare = 16 << 20

// checkRoom answers an error when so many bytes more do not fit into the cache.
func (f *Fetcher) checkRoom(more int64) error {
	if more == 0 {
		return nil
	}
	return f.checkFree(f.cache.root.Name(), more+spare)
}

// checkPlan is for what whoever asks will check, too, before it asks for a first
// file: by then it could not have the cache emptied any more.
func (f *Fetcher) checkPlan(w pipe.Want, p pipe.Plan) error {
	if f.live == "" {
		return nil
	}
	need := p.Scratch
	for _, file := range w.Files {
		need += file.Size
	}
	return f.checkFree(filepath.Dir(f.live), need)
}

// checkFree wants a tenth more than what is needed. A disk that does not say
// what is free is tried.
func (f *Fetcher) checkFree(dir string, need int64) error {
	if f.free == nil {
		return nil
	}
	free, err := f.free(dir)
	if err != nil {
		f.log("%v", err)
		return nil
	}
	if want := uint64(need + need/10); free < want {
		return fmt.Errorf("%w: %d MB are free, %d MB are needed", pipe.ErrNoSpace, free>>20, want>>20+1)
	}
	return nil
}
