#!/bin/sh
# For go test -exec: signs the test under a name of its own, so that it can ask of
# its peers, which are itself, that they have that name. Then it runs it.
set -eu
codesign --force --sign - --identifier dev.portward.test "$1"
PORTWARD_TEST_REQUIREMENT='identifier "dev.portward.test"' exec "$@"
