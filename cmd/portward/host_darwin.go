package main

import (
	"os"
	"strconv"

	"portward/internal/jobs"
)

func newHost(w *world) host {
	uid := os.Geteuid()
	return &launchdHost{
		w: w, uid: uid,
		connect: func(known, followed []jobs.Target) (jobs.Engine, func(), error) {
			e, err := jobs.NewLaunchd(jobs.LaunchdOptions{UID: uid, Jobs: known, Follow: followed, Log: w.show.note})
			if err != nil {
				return nil, nil, err
			}
			return e, e.Close, nil
		},
		session: strconv.Itoa(uid),
	}
}
