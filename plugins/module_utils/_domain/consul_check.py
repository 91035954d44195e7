# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""A Consul check as declared, in Consul's own words."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping, Sequence

from .check_fields import KINDS, clean_text, details, kind_of, target
from .errors import AutoscaleError
from .secrets import masked_url


@dataclasses.dataclass(frozen=True)
class Check:
    """One check as it is sent.

    Args:
        id: stable, so that registering again keeps the check's state.
        fields: Consul's field names and values, without CheckID.
    """

    id: str
    fields: Mapping[str, Any]

    def definition(self) -> dict[str, Any]:
        return {"CheckID": self.id, **self.fields}

    def view(self) -> dict[str, Any]:
        """For people: what may be a credential is masked."""
        shown = dict(self.fields)
        if "Header" in shown:
            shown["Header"] = dict.fromkeys(shown["Header"], "***")
        if "Body" in shown:
            shown["Body"] = "***"
        if "HTTP" in shown:
            shown["HTTP"] = masked_url(shown["HTTP"])
        return shown


def declared_checks(raw: Sequence[Mapping[str, Any]], service: str, identity: str, address: str, port: int) -> tuple[Check, ...]:
    """The checks of one instance from the options of the module consul_service. Raises AutoscaleError."""
    ids = [_check_id(check, identity, position, len(raw)) for position, check in enumerate(raw)]
    if len(set(ids)) != len(ids):
        raise AutoscaleError(f"checks: the ids {', '.join(ids)} are not all different")
    return tuple(Check(check_id, _check_fields(check, service, address, port)) for check_id, check in zip(ids, raw))


def _check_id(raw: Mapping[str, Any], identity: str, position: int, count: int) -> str:
    """As Consul itself would name it, but stable and known before."""
    if raw.get("id"):
        return clean_text("check id", raw["id"], 200)
    return f"service:{identity}" if count == 1 else f"service:{identity}:{position + 1}"


def _check_fields(raw: Mapping[str, Any], service: str, address: str, port: int) -> dict[str, Any]:
    kind = kind_of(raw)
    fields: dict[str, Any] = {"Name": clean_text("check name", raw.get("name") or f"Service '{service}' check", 200)}
    for option in KINDS[kind]:
        if raw.get(option) is not None:
            fields.update(target(option, raw[option], address, port))
    return {**fields, **details(raw, kind)}
