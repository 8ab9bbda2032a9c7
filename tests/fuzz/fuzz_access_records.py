"""Recorded actors, resources, ballots and decisions: any JSON is read or refused, and what is read can be decided about."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from chargepki.core.access.decide import decide, visible_parties
from chargepki.core.access.encode import (
    decode_actor,
    decode_ballot,
    decode_decision,
    decode_resource,
    encode_actor,
    encode_ballot,
    encode_decision,
    encode_resource,
)
from chargepki.core.access.model import Actor, Ballot, Resource
from chargepki.core.access.permissions import Permission
from chargepki.core.access.policy import PRODUCTION
from chargepki.core.canonical_json import JsonValue
from chargepki.errors import Refused

T = TypeVar("T")

_NOW = datetime(2026, 11, 22, tzinfo=UTC)
_PERMISSIONS = (Permission.CERTIFICATE_ISSUE, Permission.CA_AUTHORITY_CREATE, Permission.CERTIFICATE_READ)
SEEDS = (
    b'{"id":"person:per_1","kind":"person","person":"per_1","assurance":2,"other_roles":["monitor"],"grants":[{"id":"grt_1","role":'
    b'"requester","scope":{"parties":["acme"],"names":["dns:example.org","station:*"]},"until":"2027-01-01T00:00:00Z",'
    b'"narrowed_to":["certificate:*:*"]}]}',
    b'{"party":"acme","profile":"ocpp/station","names":["station:CS-1","station-serial:ACME-7"],"spaces":["station:*"],"count":2,'
    b'"key":"ecdsa-p256","role":"auditor","subject":"per_1"}',
    b'{"digest":"' + b"11" * 32 + b'","opened_at":"2026-11-21T00:00:00Z","votes":[{"voter":{"id":"person:per_2","kind":"person","grants":'
    b'[{"id":"grt_2","role":"ca-officer"}],"person":"per_2","assurance":2},"digest":"' + b"11" * 32 + b'","for":true}],"standing":'
    b'[{"id":"sta_1","party":"acme","profiles":["ocpp/station"],"names":["station:*"],"keys":["ecdsa-p256"],"per_hour_max":9,'
    b'"until":"2027-01-01T00:00:00Z","used":0}]}',
    b'{"needs":"sub-ca","missing":[{"permission":"ca:certificate:approve","count":2,"roles":["ca-officer"]}],"filled":'
    b'[["ca:certificate:propose","per_1"]],"not_before":"2026-11-23T00:00:00Z"}',
    b'{"deny":[["access.conflict","no"]],"step_up":true}',
    b'{"allow":"grt_1 standing sta_1","standing":"sta_1"}',
)


def one_input(data: bytes) -> None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    actor = _read(value, decode_actor, encode_actor)
    resource = _read(value, decode_resource, encode_resource)
    ballot = _read(value, decode_ballot, encode_ballot)
    _read(value, decode_decision, encode_decision)
    if actor or resource or ballot:
        _decide(actor or decode_actor(json.loads(SEEDS[0])), resource or Resource(), ballot or Ballot())


def _decide(actor: Actor, resource: Resource, ballot: Ballot) -> None:
    for permission in _PERMISSIONS:
        decision = decide(actor, permission, resource, _NOW, PRODUCTION, ballot)
        assert decode_decision(json.loads(json.dumps(encode_decision(decision)))) == decision
        visible_parties(actor, permission, _NOW, PRODUCTION)


def _read(value: JsonValue, decode: Callable[[JsonValue], T], encode: Callable[[T], JsonValue]) -> T | None:
    try:
        read = decode(value)
    except Refused:
        return None
    assert decode(json.loads(json.dumps(encode(read)))) == read
    return read


if __name__ == "__main__":
    import sys

    import atheris

    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
