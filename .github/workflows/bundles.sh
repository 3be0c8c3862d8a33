#!/bin/sh
# What a release engineer does, on Linux: bundles/adhoc and bundles/chain, the
# latter signed by a chain of our own, whose root is bundles/root.pem.
# Needs go and openssl. Usage: bundles.sh, at the top of the repository.
set -eu
top=$PWD
[ -f go.mod ] || { echo "bundles.sh: run it at the top of the repository" >&2; exit 1; }
[ ! -e bundles ] || { echo "bundles.sh: bundles/ is there already: rm -r it first" >&2; exit 1; }
mkdir -p bundles/ask
(
  cd bundles
  # The chain is the one that the test of these commands makes.
  awk '/^-- .* --$/ { file = $2; next } file { print > file }' "$top/cmd/portward/testdata/script/mac.txtar"
  sh ./chain.sh 2>/dev/null
)
CGO_ENABLED=0 go build -o bundles/ ./cmd/portward
bundles/portward pack --target darwin/universal --version 0.0.1-ci bundles/adhoc
cp -R bundles/adhoc bundles/chain
bundles/portward sign --ad-hoc bundles/adhoc
PORTWARD_PASSPHRASE=secret bundles/portward sign --p12 bundles/id.p12 --team TEAM123456 bundles/chain
bundles/portward verify --ad-hoc bundles/adhoc
bundles/portward verify --root bundles/root.pem bundles/chain
