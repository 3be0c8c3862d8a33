//go:build !(darwin && cgo)

package main

import "context"

// withMenu runs serve: this build has no menu-bar item.
func withMenu(ctx context.Context, _ func() scene, serve func(context.Context) (int, error)) (int, error) {
	return serve(ctx)
}
