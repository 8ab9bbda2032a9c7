"""What a valid request to each operation looks like: it gets past the schema, so that authorisation is what refuses it."""

from typing import Any, Final

from tests.api.api_platform import make_csr

LATER: Final = "2026-12-24T00:00:00Z"  # of the tests' clock
CSR: Final = make_csr()
DIGEST: Final = "sha256:" + "0" * 64

BODIES: Final[dict[str, dict[str, Any]]] = {
    "order_certificate": {"profile": "ocpp/csms-server", "host": "csms.example.org", "csr": CSR},
    "create_authority": {
        "id": "evil-root",
        "profile": "root/operator",
        "key_spec": "ec-p256",
        "common_name": "Evil",
        "organization": "Evil",
    },
    "export_pkcs12": {"passphrase": "carried away"},
    "revoke_certificate": {"reason": "keyCompromise"},
    "hold_certificate": {"note": "stolen"},
    "generate_key": {"key_spec": "ec-p256", "label": "evil"},
    "propose_profile_version": {"profile": "ocpp/station", "narrowing": {"validity_days": 30}},
    "preview_bulk_revocation": {"profile": "ocpp/station"},
    "create_bulk_revocation": {"profile": "ocpp/station", "reason": "superseded", "list_sha256": "0" * 64},
    "add_station": {"id": "CS-66", "serial_number": "SN-66", "operator": "demo-cpo"},
    "update_station": {"state": "suspended"},
    "create_enrolment_token": {"profile": "ocpp/station"},
    "create_party": {"id": "evil-cpo", "name": "Evil CPO", "roles": ["cpo"], "spaces": ["dns:evil.example"]},
    "update_party": {"state": "suspended"},
    "invite_person": {"username": "mallory", "display_name": "Mallory", "email": "mallory@evil.example"},
    "invite_again": {"valid_hours": 1},
    "link_identity": {"issuer": "https://id.evil.example", "subject": "mallory"},
    "create_machine": {"name": "evil-csms", "role": "csms", "party": "demo-cpo"},
    "update_machine": {"state": "suspended"},
    "propose_grant": {"holder": "person:mallory", "role": "requester"},
    "sign_access_review": {"digest": DIGEST},
    "create_token": {"name": "mine", "scopes": ["*:*:*"]},
    "vote": {"digest": DIGEST, "is_for": True},
    "edit_approval": {"order": {"profile": "ocpp/station"}},
    "create_standing_approval": {
        "party": "demo-cpo",
        "profiles": ["ocpp/station"],
        "names": ["station-serial:SN-2026"],
        "per_hour_max": 1,
        "until": LATER,
    },
    "create_batch": {"party": "demo-cpo", "prefixes": ["SN-2026-"], "count": 1, "until": LATER},
    "sign_in_with_password": {"username": "mallory", "password": "a guess at a password"},
    "redeem_invitation": {"invitation": "cpin_none", "password": "seven purple ladders"},
    "start_device_sign_in": {"provider": "none"},
    "finish_device_sign_in": {"handle": "bm9uZQ=="},
    "depart_with_invitation": {"invitation": "cpin_none"},
    "step_up": {"code": "123456"},
    "change_password": {"password": "a guess at a password", "new_password": "seven purple ladders"},
    "enrol_totp": {"password": "a guess at a password", "handle": "bm9uZQ==", "code": "123456"},
    "check_csr": {"csr": CSR},
    "inspect_object": {"data": CSR},
}
