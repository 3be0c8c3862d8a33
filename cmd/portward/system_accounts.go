package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Accounts of the system are numbered like those that macOS itself gives to roles
// (sysadminctl(8), -roleAccount).
const firstRole, lastRole = 450, 499

// roles are the product's accounts. The first is in a job's property list.
func roles() []string { return []string{"_portward", "_portwardfetch", "_portwardprobe"} }

// A directory is the machine's directory of accounts, as dscl(1) shows it.
type directory struct {
	run func(ctx context.Context, args ...string) (string, error)
}

// ensure makes the accounts that are missing. An account's number is written last,
// so that one with a number is complete, and what a killed run has left is made
// again.
func (d directory) ensure(ctx context.Context) (accounts, error) {
	users, err := d.list(ctx, "/Users", "UniqueID")
	if err != nil {
		return accounts{}, err
	}
	groups, err := d.list(ctx, "/Groups", "PrimaryGroupID")
	if err != nil {
		return accounts{}, err
	}
	var ids []uint32
	for _, name := range roles() {
		id, ok := users[name]
		if !ok {
			if id, err = free(users, groups, name); err == nil {
				err = d.make(ctx, name, strconv.Itoa(id))
			}
			if err != nil {
				return accounts{}, fmt.Errorf("%s: %w", name, err)
			}
			users[name], groups[name] = id, id
		}
		if id <= 0 {
			return accounts{}, fmt.Errorf("%s has the number %d\nhint: whoever made it meant something else; remove it", name, id)
		}
		ids = append(ids, uint32(id))
	}
	return accounts{ids[0], ids[1], ids[2]}, nil
}

// free answers a number that is neither a user's nor another group's.
func free(users, groups map[string]int, name string) (int, error) {
	taken := map[int]bool{}
	for _, id := range users {
		taken[id] = true
	}
	for group, id := range groups {
		taken[id] = taken[id] || group != name
	}
	for id := firstRole; id <= lastRole; id++ {
		if !taken[id] {
			return id, nil
		}
	}
	return 0, fmt.Errorf("no number between %d and %d is free", firstRole, lastRole)
}

func (d directory) make(ctx context.Context, name, id string) error {
	user, group := "/Users/"+name, "/Groups/"+name
	for _, args := range [][]string{
		{"-create", group},
		{"-create", group, "RealName", "Portward"},
		{"-create", group, "Password", "*"},
		{"-create", group, "PrimaryGroupID", id},
		{"-create", user},
		{"-create", user, "RealName", "Portward"},
		{"-create", user, "Password", "*"},
		{"-create", user, "UserShell", "/usr/bin/false"},
		{"-create", user, "NFSHomeDirectory", "/var/empty"},
		{"-create", user, "IsHidden", "1"},
		{"-create", user, "PrimaryGroupID", id},
		{"-create", user, "UniqueID", id},
	} {
		if _, err := d.run(ctx, append([]string{"."}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

func (d directory) remove(ctx context.Context) error {
	for _, kind := range []string{"/Users", "/Groups"} {
		out, err := d.run(ctx, ".", "-list", kind)
		if err != nil {
			return err
		}
		for _, name := range roles() {
			if !slices.Contains(strings.Fields(out), name) {
				continue
			}
			if _, err := d.run(ctx, ".", "-delete", kind+"/"+name); err != nil {
				return err
			}
		}
	}
	return nil
}

// list answers the numbers of all accounts of a kind, one in a line after its name.
func (d directory) list(ctx context.Context, path, attribute string) (map[string]int, error) {
	out, err := d.run(ctx, ".", "-list", path, attribute)
	if err != nil {
		return nil, err
	}
	ids := map[string]int{}
	for line := range strings.Lines(out) {
		words := strings.Fields(line)
		if len(words) != 2 {
			continue
		}
		if id, err := strconv.Atoi(words[1]); err == nil {
			ids[words[0]] = id
		}
	}
	return ids, nil
}
