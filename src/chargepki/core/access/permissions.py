"""Permissions, `<area>:<object>:<action>`. An audit entry's action is one of these strings."""

from enum import StrEnum


class Permission(StrEnum):
    ACCESS_TOKEN_CREATE = "access:token:create"
    ACCESS_TOKEN_READ = "access:token:read"
    ACCESS_TOKEN_REVOKE = "access:token:revoke"
    AUDIT_ENTRY_READ = "audit:entry:read"
    CA_AUTHORITY_CREATE = "ca:authority:create"
    CA_AUTHORITY_READ = "ca:authority:read"
    CA_CRL_ISSUE = "ca:crl:issue"
    CERTIFICATE_EXPORT_KEY = "certificate:key:export"
    CERTIFICATE_ISSUE = "certificate:request:create"
    CERTIFICATE_READ = "certificate:object:read"
    CERTIFICATE_REVOKE = "certificate:object:revoke"
    INVENTORY_STATION_READ = "inventory:station:read"
    INVENTORY_STATION_WRITE = "inventory:station:write"
    PROFILE_READ = "profile:definition:read"
    REGISTRATION_CREDENTIAL_CREATE = "registration:credential:create"
    STATION_CONNECT = "station:session:open"
    STATION_REPORT = "station:report:create"
    STATION_COMMAND = "station:session:command"
    STATUS_RESPONDER_SIGN = "status:answer:sign"
    SYSTEM_BOOTSTRAP = "system:platform:bootstrap"
    SYSTEM_INTENT_REVIEW = "system:intent:review"
