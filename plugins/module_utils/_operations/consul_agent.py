# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# PRIVATE to the collection: no stable interface.
"""Writes the configuration of this host's Consul agent, and tells what the running agent needs to know it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Mapping

from .._clients.config_files import InvalidConfiguration, read_text
from .._clients.consul_program import AgentFile, ConsulProgram, content_digest
from .._domain import consul_change
from .._domain.consul_agent import agent_config, certificate_files
from .outcome import Change, Outcome


def configure(
    program: ConsulProgram,
    file: AgentFile,
    *,
    settings: Mapping[str, Any],
    secrets: Mapping[str, Any],
    started_with: Mapping[str, str],
    record: Path,
    check: bool,
) -> Outcome:
    """Bring the file to what the settings say.

    Args:
        settings, secrets: see agent_config().
        started_with: what else the agent is started with, such as a digest of its unit.
        record: the note of what the running agent has; the role writes it.

    Raises:
        InvalidConfiguration: Consul's words; the file is as it was.
        AutoscaleError: a setting is wrong, or a file that it names cannot be read.
    """
    version = program.version()
    config = agent_config(settings, secrets, version)
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    shown = ".".join(str(part) for part in version)
    contents = {f"{consul_change.FILE}{path}": content_digest(path, named) for named, path in certificate_files(settings).items()}
    wanted = consul_change.digests(config, {**started_with, "version": shown, **contents})
    needed = consul_change.application(read_text(record), wanted)
    facts = {"version": shown, "apply": needed.how, "apply_for": list(needed.why), "record": consul_change.record_text(wanted)}
    present = read_text(file.path)
    if file.as_wanted(text, present):
        return Outcome(facts=facts)
    with tempfile.TemporaryDirectory(prefix="autoscale-consul-") as folder:
        staged = file.stage(text, Path(folder))
        try:
            program.validate(staged)
        except InvalidConfiguration as error:
            words = error.message.replace(str(staged), str(file.path))
            raise InvalidConfiguration(f"Consul {shown} refuses the new {file.path}, and what was there is unchanged: {words}") from None
    if not check:
        file.swap(text)
    return Outcome((Change(str(file.path), _shown(present), consul_change.masked(config)),), facts)


def _shown(text: str | None) -> Any:
    """What was there, without its secrets."""
    if text is None:
        return None
    try:
        content = json.loads(text)
    except ValueError:
        return "something that is not JSON"
    return consul_change.masked(content) if isinstance(content, dict) else content
