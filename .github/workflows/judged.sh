#!/bin/bash
# The Mac's own judgement of what bundles.sh made on Linux. Run beside bundles/.
set -euo pipefail
peer='identifier "dev.portward.guiagent" and certificate leaf[subject.OU] = "TEAM123456"'
for app in bundles/{adhoc,chain}/Portward.app; do
  codesign --display --verbose=4 --requirements - --entitlements - "$app" || true
done

echo "== ad hoc: whole, and runs"
app=bundles/adhoc/Portward.app
codesign --verify --deep --strict --all-architectures --verbose=4 "$app"
for program in "$app"/Contents/MacOS/*; do
  codesign --verify --strict --all-architectures --verbose=4 "$program"
  "$program" --help >/dev/null || test $? -ne 137 # the kernel kills what it does not believe
done

echo "== one byte of it changed: refused"
cp -R "$app" tampered.app
printf x | dd of=tampered.app/Contents/MacOS/netchild bs=1 seek=100000 conv=notrunc
if codesign --verify --deep --strict tampered.app; then exit 1; fi

echo "== a chain of our own, once its root is trusted"
sudo security authorizationdb write com.apple.trust-settings.admin allow
sudo security add-trusted-cert -d -r trustRoot -p codeSign -k /Library/Keychains/System.keychain bundles/root.pem
codesign --verify --deep --strict --all-architectures --verbose=4 -R="$peer" bundles/chain/Portward.app

echo "== Gatekeeper: what no notary has seen is rejected, so no is the right answer"
if spctl --assess --type execute --verbose=4 "$app"; then exit 1; fi
