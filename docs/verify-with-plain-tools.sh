#!/usr/bin/env bash
# Verifies a Sealift bundle without Sealift: verify-with-plain-tools.sh X.bundle 1.root.json
# Needs bash, coreutils, tar, zstd, jq and openssl (3.0 or later). 1.root.json is the root that you trust; get
# it on another way than the bundle. Prints AUTHENTIC and ends with 0, or says what is wrong and ends with 1.
# docs/format.md says why each step is there. Unpacks in a temporary folder, which needs room for it.
set -euo pipefail; export LC_ALL=C
die() { echo "NOT AUTHENTIC: $*"; exit 1; }; trap 'die "the command in line $LINENO failed"' ERR
[ $# = 2 ] && [ -f "$1" ] && [ -f "$2" ] || { echo "usage: $0 X.bundle ROOT.json" >&2; exit 2; }
bundle=$(realpath "$1") trusted=$(realpath "$2") now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
bytes() { printf "$(sed 's/../\\x&/g' <<< "$1")"; }
# signers FILE ROLE ROOT: how many different public keys that ROOT lists for ROLE have signed the file "message", as FILE says.
signers() {
  local id sig key; jq -r '.signatures[] | "\(.keyid) \(.sig)"' "$1" | while read -r id sig; do
    key=$(jq -r --arg id "$id" --arg r "$2" '.signed | select(.roles[$r].keyids | index($id)) | .keys[$id].keyval.public' "$3")
    [ ${#sig} != 88 ] || sig=$(base64 -d <<< "$sig" | basenc --base16 -w0 | tr A-F a-f) # as envelopes write it
    [[ $key =~ ^[0-9a-f]{64}$ && $sig =~ ^[0-9a-f]{128}$ ]] || continue
    bytes "302a300506032b6570032100$key" > key.der; bytes "$sig" > signature # SPKI of Ed25519 (RFC 8410), then the key
    ! openssl pkeyutl -verify -rawin -pubin -keyform DER -inkey key.der -in message -sigfile signature &> /dev/null || echo "$key"
  done | sort -u | wc -l
}
check() { # FILE ROLE ROOT: as many of them as ROOT demands have signed FILE
  local have want; jq -cSj .signed "$1" > message
  have=$(signers "$1" "$2" "$3") want=$(jq ".signed.roles.$2.threshold" "$3")
  (( want >= 1 && have >= want )) || die "$1: $have valid signatures by keys of $3, $want needed"
  echo "$1: signed by $have keys, $want needed"
}
version() { jq .signed.version "$1"; }; valid() { [[ $(jq -r .signed.expires "$1") > $now ]] || die "$1 has expired"; }
# 1. Nothing but regular files with plain relative names, each once, comes out of the archive.
small='metadata/[a-z0-9.]+|release.json|delivery.json|provenance.json|oci-layout|index.json'
tar -tvf "$bundle" > list; tar -tf "$bundle" > names; strange=$(grep -v '^-' list; sort names | uniq -d;
  grep -vE "^($small|packs/[0-9]+.tar.zst|blobs/sha256/[0-9a-f]{64})$" names || :)
[ -z "$strange" ] || die "something else than files of a bundle, each once"
end=$(awk '{ n += 512 + int(($3 + 511) / 512) * 512 } END { printf "%.0f", n + 1024 }' list)
[ "$end" = "$(stat -c %s "$bundle")" ] || die "the archive does not end where its members do"
tar --no-same-owner -xf "$bundle"
# 2. From the trusted root to the newest: version by version, signed as the old and as the new one demand.
root=$trusted n=$(version "$trusted"); check "$root" root "$root"
[ ! -e metadata/$n.root.json ] || cmp -s <(jq -cS .signed "$root") <(jq -cS .signed metadata/$n.root.json) || die "another root"
while next=metadata/$((++n)).root.json; [ -e $next ]; do [ "$(version $next)" = $n ] || die "$next has another version"
  check $next root "$root"; check $next root $next; root=$next; done; valid "$root"
# 3. Timestamp, snapshot and targets: signed, valid, and each of the version that the one before it names.
for role in timestamp snapshot targets; do check metadata/$role.json $role "$root"; valid metadata/$role.json; done
named() { jq ".signed.meta[\"$2.json\"].version" "metadata/$1.json"; }
[ "$(named timestamp snapshot)" = "$(version metadata/snapshot.json)" ] || die "another version of the snapshot"
[ "$(named snapshot targets)" = "$(version metadata/targets.json)" ] || die "another version of the targets"
# 4. Every file has its signed digest, and there is no other file.
jq -r '.signed.targets | to_entries[] | "\(.value.hashes.sha256)  \(.key)"' metadata/targets.json | sort -k2 > sums
sha256sum --check --strict --quiet sums || die "a digest differs"
diff <(cut -c67- sums) <(grep -v ^metadata/ names | sort) || die "other files than the signed ones"
# 5. What a release key says of where the release comes from (DSSE, in-toto) is about this release.
release=$(sha256sum < release.json | cut -c-64); jq -rj .payload provenance.json | base64 -d > payload
{ printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$(stat -c %s payload)"; cat payload; } > message
[ "$(signers provenance.json targets "$root")" -ge 1 ] || die "no release key has signed provenance.json"
[ "$(jq -r '.subject[] | select(.name == "release.json").digest.sha256' payload)" = "$release" ] || die "provenance of another release"
# 6. release.json is the one that delivery.json delivers, and every blob in the packs has the digest it is called by.
[ "$(jq -r .release delivery.json)" = "$release" ] || die "delivery.json is of another release"
for pack in packs/*.tar.zst; do [ ! -e "$pack" ] || zstd -dcq "$pack" | tar --no-same-owner -xf -; done
(cd blobs/sha256 && for blob in *; do echo "$blob  $blob"; done | sha256sum --check --strict --quiet) || die "a blob's digest differs"
echo "release digest $release"; echo AUTHENTIC
