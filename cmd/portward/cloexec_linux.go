package main

import "syscall"

// cloexec makes a new socket close on exec, socket(2).
const cloexec = syscall.SOCK_CLOEXEC
