"""Makes TUF repositories with python-tuf, an implementation that is independent of ours.

usage: tuf_repository.py FOLDER

Reads one JSON object per line from standard input, each with an "op" and its arguments, and answers each
with one line: "ok", or "error: ...". Metadata goes to FOLDER/metadata, targets go to FOLDER/targets, and the
first root to FOLDER/trusted_root.json.
"""

import hashlib
import json
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

ROLES = ("root", "targets", "snapshot", "timestamp")


def new_signer(scheme):
    if scheme == "ed25519":
        return CryptoSigner.generate_ed25519()
    if scheme == "ecdsa-sha2-nistp256":
        return CryptoSigner.generate_ecdsa()
    return CryptoSigner.generate_rsa(scheme=scheme)


def in_days(days):
    return datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=days)


class Repository:
    """Four roles, each with one Ed25519 key named as the role, valid for 30 days; nothing is published."""

    def __init__(self, folder):
        self.metadata = folder / "metadata"
        self.targets = folder / "targets"
        self.metadata.mkdir(parents=True)
        self.targets.mkdir()
        self.trusted = folder / "trusted_root.json"
        self.hashes_in_meta = False
        self.hash_prefixes = True
        self.signers = {role: new_signer("ed25519") for role in ROLES}
        # Which keys sign a role; what the root says of it may differ.
        self.signing = {role: [role] for role in ROLES}
        statements = (Root(), Targets(), Snapshot(), Timestamp())
        self.files = {s.type: Metadata(s) for s in statements}
        for role in ROLES:
            self.expire(role, 30)
            self.signed("root").add_key(self.signers[role].public_key, role)
        self.published = set()

    def signed(self, role):
        return self.files[role].signed

    def key(self, name, scheme="ed25519", same_as=None):
        """Makes a key; `same_as` gives the key of that name another name, and with it another id."""
        if not same_as:
            self.signers[name] = new_signer(scheme)
            return
        old = self.signers[same_as]
        keyid = hashlib.sha256(name.encode()).hexdigest()
        public = type(old.public_key).from_dict(keyid, old.public_key.to_dict())
        self.signers[name] = CryptoSigner(old._private_key, public)

    def role(self, role, keys, threshold=1, sign=None):
        """The root gives `role` these keys and this threshold; `sign` are those that really sign it."""
        root = self.signed("root")
        for keyid in list(root.roles[role].keyids):
            root.revoke_key(keyid, role)
        for name in keys:
            root.add_key(self.signers[name].public_key, role)
        # python-tuf itself refuses nothing here, so that what it would refuse to make can be made.
        root.roles[role].threshold = threshold
        self.signing[role] = keys if sign is None else sign

    def sign(self, role, keys):
        """Only these keys sign `role` from now on; the root does not change."""
        self.signing[role] = keys

    def expire(self, role, days):
        self.signed(role).expires = in_days(days)

    def version(self, role, version):
        """The version that is published next."""
        self.signed(role).version = version - (1 if role in self.published else 0)

    def options(self, consistent=None, hashes_in_meta=None, hash_prefixes=None):
        if consistent is not None:
            self.signed("root").consistent_snapshot = consistent
        if hashes_in_meta is not None:
            self.hashes_in_meta = hashes_in_meta
        if hash_prefixes is not None:
            self.hash_prefixes = hash_prefixes

    def target(self, path, content, hashes=("sha256",), served=None):
        """Signs `content` as the target `path` and serves `served`, which is the same unless it is said."""
        data = content.encode()
        target = TargetFile.from_data(path, data, list(hashes))
        self.signed("targets").targets[path] = target
        folder, slash, name = path.rpartition("/")
        names = [name]
        if self.signed("root").consistent_snapshot and self.hash_prefixes:
            names = [f"{digest}.{name}" for digest in target.hashes.values()]
        for name in names:
            file = self.targets / f"{folder}{slash}{name}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data if served is None else served.encode())

    def rename_hash(self, path, old, new):
        hashes = self.signed("targets").targets[path].hashes
        hashes[new] = hashes.pop(old)

    def delegate(self, name, paths):
        """The targets delegate `paths` to a role of their own."""
        self.signers[name] = new_signer("ed25519")
        role = DelegatedRole(name, [], 1, False, paths=paths)
        targets = self.signed("targets")
        targets.delegations = Delegations({}, {name: role})
        targets.add_key(self.signers[name].public_key, name)
        self.files[name] = Metadata(Targets())
        self.signing[name] = [name]
        self.expire(name, 30)

    def field(self, role, name, value):
        """A field that TUF does not know, in the signed part of a role."""
        self.signed(role).unrecognized_fields[name] = value

    def key_field(self, key, name, value):
        self.signers[key].public_key.unrecognized_fields[name] = value

    def kind(self, key, keytype=None, scheme=None):
        """The root calls a key something that it is not."""
        public = self.signers[key].public_key
        public.keytype = keytype or public.keytype
        public.scheme = scheme or public.scheme

    def meta(self, role, file, version=None, length=None, sha256=None):
        """Changes what the snapshot or the timestamp says of a file."""
        signed = self.signed(role)
        meta = signed.snapshot_meta if role == "timestamp" else signed.meta[file]
        if version is not None:
            meta.version = version
        if length is not None:
            meta.length = length
        if sha256 is not None:
            meta.hashes = {"sha256": sha256}

    def publish(self, *roles, bump=True):
        """Signs these roles, in this order, and puts them where clients look."""
        for role in roles:
            file = self.files[role]
            if bump and role in self.published:
                file.signed.version += 1
            self.published.add(role)
            file.signatures.clear()
            for name in self.signing[role]:
                file.sign(self.signers[name], append=True)
            data = file.to_bytes()
            for name in self.names(role, file.signed.version):
                (self.metadata / name).write_bytes(data)
            if role == "root" and not self.trusted.exists():
                self.trusted.write_bytes(data)
            self.mention(role, file.signed.version, data)

    def names(self, role, version):
        if role == "timestamp":
            return ["timestamp.json"]
        if role == "root" or self.signed("root").consistent_snapshot:
            return [f"{version}.{role}.json"]
        return [f"{role}.json"]

    def mention(self, role, version, data):
        meta = MetaFile(version)
        if self.hashes_in_meta:
            meta.length = len(data)
            meta.hashes = {"sha256": hashlib.sha256(data).hexdigest()}
        if role == "snapshot":
            self.signed("timestamp").snapshot_meta = meta
        elif role not in ("root", "timestamp"):
            self.signed("snapshot").meta[f"{role}.json"] = meta

    def do(self, line):
        arguments = json.loads(line)
        operation = getattr(self, arguments.pop("op"))
        roles = arguments.pop("roles", ())
        operation(*roles, **arguments)


def main():
    repository = Repository(Path(sys.argv[1]))
    for line in sys.stdin:
        try:
            repository.do(line)
            print("ok", flush=True)
        except Exception as error:  # whatever it is, the test that asked has to see it
            print(f"error: {type(error).__name__}: {error}".replace("\n", " "), flush=True)


main()
