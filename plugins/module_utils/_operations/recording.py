# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Records what a round did: which pools are confirmed, and that reserved places are filled."""

from __future__ import annotations

import dataclasses
from typing import Any, Iterable, Mapping

from .._clients.consul import Consul
from .._domain.documents import Signing
from .records import read_records, select, write_documents


def record(
    consul: Consul,
    signing: Signing,
    *,
    session: str,
    pools: Mapping[str, Mapping[str, Any]],
    settled: Mapping[str, Iterable[str]],
    services: Iterable[str],
) -> None:
    """Confirm the steps of services that were carried out whole.

    Args:
        session: holds the services' locks.
        pools: by service and balancer what is in rotation now; None where the service has no pool any more.
        settled: by service the instances that were started or stopped, whose reserved places are done with.
        services: those without a failed step; the others stay as recorded, so that the next run looks at them again.
    """
    names = tuple(services)
    if not names:
        return
    for name, known in select(read_records(consul, signing, names), names).by_service.items():
        contents: dict[str, Mapping[str, Any] | None] = {}
        if pools.get(name):
            confirmed = {**known.pools, **pools[name]}
            contents["pools"] = {"balancers": {balancer: pool for balancer, pool in confirmed.items() if pool is not None}}
        if known.pending:
            left = [dataclasses.asdict(slot) for slot in known.pending if slot.id not in settled.get(name, ())]
            contents["pending"] = {"slots": left} if left else None
        if contents:
            write_documents(consul, session, known, contents, signing)
