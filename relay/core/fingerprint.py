"""Fingerprints of label sets, as Alertmanager has them: FNV-1a over the sorted names and values, each ended by 0xFF
(prometheus/common, `model/signature.go`)."""

from __future__ import annotations

from collections.abc import Mapping

_OFFSET = 14_695_981_039_346_656_037
_PRIME = 1_099_511_628_211
_MASK = 2**64 - 1


def fingerprint(labels: Mapping[str, str]) -> str:
    """Return sixteen hexadecimal digits that are the same for the same labels."""
    total = _OFFSET
    for name, value in sorted(labels.items()):
        for byte in b"%s\xff%s\xff" % (name.encode(), value.encode()):
            total = ((total ^ byte) * _PRIME) & _MASK
    return f"{total:016x}"
