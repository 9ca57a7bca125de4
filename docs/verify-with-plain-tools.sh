#!/usr/bin/env bash
# Verifies a Sealift bundle without Sealift: verify-with-plain-tools.sh X.bundle 1.root.json
# Needs bash, coreutils, tar, zstd, jq and openssl (3.0 or later). 1.root.json is the root that you trust; get
# it on another way than the bundle. Prints AUTHENTIC and ends with 0, or says what is wrong and ends with 1.
# docs/format.md says why each step is there. Unpacks in a temporary folder, which needs room for it.
set -euo pipefail; export LC_ALL=C
die() { echo "NOT AUTHENTIC: $*"; exit 1; }
trap 'die "the command in line $LINENO failed"' ERR
[ $# = 2 ] && [ -f "$1" ] && [ -f "$2" ] || { echo "usage: $0 X.bundle ROOT.json" >&2; exit 2; }
bundle=$(realpath "$1") trusted=$(realpath "$2") now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
# check FILE ROLE ROOT: as many different public keys as ROOT demands for ROLE have signed FILE.
check() {
  jq -cSj .signed "$1" > message
  local id sig key good=""
  while read -r id sig; do
    key=$(jq -r --arg id "$id" --arg r "$2" '.signed | select(.roles[$r].keyids | index($id)) | .keys[$id].keyval.public' "$3")
    [[ $key =~ ^[0-9a-f]{64}$ && $sig =~ ^[0-9a-f]{128}$ ]] || continue
    printf "$(sed 's/../\\x&/g' <<< "302a300506032b6570032100$key")" > key.der # SPKI of Ed25519 (RFC 8410), then the key
    printf "$(sed 's/../\\x&/g' <<< "$sig")" > signature
    openssl pkeyutl -verify -rawin -pubin -keyform DER -inkey key.der -in message -sigfile signature > /dev/null 2>&1 \
      && good+="$key"$'\n'
  done < <(jq -r '.signatures[] | "\(.keyid) \(.sig)"' "$1")
  local have want; have=$(printf %s "$good" | sort -u | wc -l) want=$(jq ".signed.roles.$2.threshold" "$3")
  (( want >= 1 && have >= want )) || die "$1: $have valid signatures by keys of $3, $want needed"
  echo "$1: signed by $have keys, $want needed"
}
version() { jq .signed.version "$1"; }
valid() { [[ $(jq -r .signed.expires "$1") > $now ]] || die "$1 has expired"; }

# 1. Nothing but regular files with plain relative names, each once, comes out of the archive.
names='^(metadata/[a-z0-9.]+|release.json|delivery.json|oci-layout|index.json|packs/[0-9]+.tar.zst|blobs/sha256/[0-9a-f]{64})$'
[ -z "$(tar -tvf "$bundle" | grep -v '^-')" ] || die "the archive holds something else than files"
[ -z "$(tar -tf "$bundle" | grep -vE "$names")" ] || die "strange names"
[ -z "$(tar -tf "$bundle" | sort | uniq -d)" ] || die "a name comes twice"
end=$(tar -tvf "$bundle" | awk '{ n += 512 + int(($3 + 511) / 512) * 512 } END { printf "%.0f", n + 1024 }')
[ "$end" = "$(stat -c %s "$bundle")" ] || die "the archive does not end where its members do"
tar --no-same-owner -xf "$bundle"
# 2. From the trusted root to the newest: version by version, signed as the old and as the new one demand.
root=$trusted n=$(version "$trusted"); check "$root" root "$root"
[ ! -e metadata/$n.root.json ] || cmp -s <(jq -cS .signed "$root") <(jq -cS .signed metadata/$n.root.json) || die "another root"
while [ -e metadata/$((n + 1)).root.json ]; do
  next=metadata/$((n + 1)).root.json
  [ "$(version $next)" = $((n + 1)) ] || die "$next has another version"
  check $next root "$root"; check $next root $next
  root=$next n=$((n + 1)); done; valid "$root"
# 3. Timestamp, snapshot and targets: signed, valid, and each of the version that the one before it names.
for role in timestamp snapshot targets; do check metadata/$role.json $role "$root"; valid metadata/$role.json; done
named() { jq ".signed.meta[\"$2.json\"].version" "metadata/$1.json"; }
[ "$(named timestamp snapshot)" = "$(version metadata/snapshot.json)" ] || die "another version of the snapshot"
[ "$(named snapshot targets)" = "$(version metadata/targets.json)" ] || die "another version of the targets"
# 4. Every file has its signed digest, and there is no other file.
jq -r '.signed.targets | to_entries[] | "\(.value.hashes.sha256)  \(.key)"' metadata/targets.json | sort -k2 > sums
sha256sum --check --strict --quiet sums || die "a digest differs"
diff <(cut -c67- sums) <(tar -tf "$bundle" | grep -v ^metadata/ | sort) || die "other files than the signed ones"
# 5. release.json is the one that delivery.json delivers, and every blob in the packs has the digest it is called by.
[ "$(jq -r .release delivery.json)" = "$(sha256sum < release.json | cut -c-64)" ] || die "delivery.json is of another release"
for pack in packs/*.tar.zst; do [ ! -e "$pack" ] || zstd -dcq "$pack" | tar --no-same-owner -xf -; done
(cd blobs/sha256 && for blob in *; do echo "$blob  $blob"; done | sha256sum --check --strict --quiet) || die "a blob's digest differs"
echo "release digest $(sha256sum < release.json | cut -c-64)"; echo AUTHENTIC
