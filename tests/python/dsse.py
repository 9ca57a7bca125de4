"""Envelopes (DSSE) as securesystemslib reads and writes them.

usage: dsse.py verify ENVELOPE ROOT.json THRESHOLD    with the keys that the root lists for targets
       dsse.py sign TYPE < PAYLOAD                    with a new key

verify prints {"payload", "payloadType", "signers"}; sign prints {"envelope", "keyid", "public"}.
"""

import json
import sys
from pathlib import Path

from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata


def verify(envelope, root, threshold):
    root = Metadata.from_bytes(Path(root).read_bytes()).signed
    keys = [root.keys[keyid] for keyid in root.roles["targets"].keyids]
    envelope = Envelope.from_dict(json.loads(Path(envelope).read_bytes()))
    signers = envelope.verify(keys, int(threshold))
    return {
        "payload": json.loads(envelope.payload),
        "payloadType": envelope.payload_type,
        "signers": sorted(signers),
    }


def sign(payload_type):
    signer = CryptoSigner.generate_ed25519()
    envelope = Envelope(sys.stdin.buffer.read(), payload_type, {})
    envelope.sign(signer)
    return {
        "envelope": json.dumps(envelope.to_dict(), indent=1),
        "keyid": signer.public_key.keyid,
        "public": signer.public_key.keyval["public"],
    }


command = {"verify": verify, "sign": sign}[sys.argv[1]]
print(json.dumps(command(*sys.argv[2:])))
