# Copyright (c) 2026, the microservices.autoscale authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin as ansible-inventory and ansible-playbook use it, on a catalog in which others wrote hostile text."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible_collections.microservices.autoscale.plugins.module_utils._clients.consul import Consul
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.catalog_query import CatalogQuery
from ansible_collections.microservices.autoscale.plugins.module_utils._domain.errors import AutoscaleError
from ansible_collections.microservices.autoscale.plugins.module_utils._operations.catalog_hosts import HostQuery, read_hosts

SERF = {"CheckID": "alive", "Name": "alive", "Status": "passing"}
SICK = {"CheckID": "c", "Name": "c", "ServiceID": "web-2", "Status": "critical"}


def web(number, **more):
    return {"ID": f"web-{number}", "Service": "web", "Port": 80, **more}


@pytest.fixture(scope="module")
def crime(folder):
    """The file that a template makes, were it ever one."""
    return folder / "crime"


@pytest.fixture(scope="module")
def catalog(consul, crime):
    """A catalog as several people wrote it; returns a function that registers one more node."""
    client = Consul(consul.url)
    template = "{{ lookup('pipe', 'touch " + str(crime) + "') }}"
    override = "#jinja2: variable_start_string: '[%', variable_end_string: '%]'\n[% lookup('pipe', 'touch " + str(crime) + "') %]"

    def register(name, address, *, service=None, meta=None, check=None, **more):
        body = {"Node": name, "Address": address, "NodeMeta": meta, "Service": service, "Check": check, **more}
        client._http.request("PUT", "/v1/catalog/register", json={key: value for key, value in body.items() if value is not None})

    tags = ["blue", "env=prod", "new\nline", template]
    meta = {"zone": "a", "template": template, "override": override}
    register("app1", "192.0.2.11", service=web(1, Tags=tags, Meta=meta), meta=meta, TaggedAddresses={"wan": "198.51.100.1", "lan": "-oX"})
    register("app2", "192.0.2.12", service=web(2, Tags=["blue"]), check=SICK)
    register("app3", "2001:db8::3", service={"ID": "cart", "Service": "cart", "Port": 81}, check={**SERF, "Status": "critical"})
    register("app4", "192.0.2.14", service=web(4, Port=70000))
    register("app4", "192.0.2.14", service={"ID": "good", "Service": "cart", "Port": 82, "Address": "192.0.2.99"})
    register("app4", "192.0.2.14", service={"ID": "x\ny", "Service": "we b;\n}{ x", "Port": 82}, meta=meta)
    for name, address in (("evil\n[x", "192.0.2.1"), ("n" * 300, "192.0.2.1"), ("app[1:3]", "192.0.2.1"), ("localhost", "192.0.2.1")):
        register(name, address)
    register("arguments", "-oProxyCommand=touch " + str(crime))
    return register


@pytest.fixture
def inventory(tmp_path, consul, catalog):
    """inventory(passing_only=True) → the file's path."""

    def write(**options):
        path = tmp_path / "lab.consul.yml"
        path.write_text(yaml.safe_dump({"plugin": "microservices.autoscale.consul", "consul_url": consul.url, **options}))
        return path

    return write


@pytest.fixture
def listed(run_ansible):
    """listed(path, "--flush-cache") → what ansible-inventory gives, and what it says."""

    def call(path, *arguments, code=0):
        # What is no source for this plugin is none for any.
        environment = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1", "ANSIBLE_INVENTORY_ENABLED": "auto"}
        done = run_ansible("inventory", "-i", path, "--list", *arguments, environment=environment)
        assert done.returncode == code, done.stderr
        return (json.loads(done.stdout) if code == 0 else {}), " ".join(done.stderr.split())

    return call


def plain(value):
    """Without the mark of text that is no template."""
    if isinstance(value, dict):
        return value["__ansible_unsafe"] if set(value) == {"__ansible_unsafe"} else {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def test_nodes_are_hosts_and_hostile_text_is_left_out_or_stays_text(inventory, listed, crime):
    path = inventory(
        compose={"zone_of": "consul_meta.zone | upper", "copied": "consul_meta.template", "wan": "consul_tagged_addresses.wan"},
        groups={"ported": "consul_services | selectattr('port', 'equalto', 82) | list | length > 0"},
        keyed_groups=[{"key": "consul_meta.zone", "prefix": "zone"}, {"key": "consul_meta.template", "prefix": "k"}],
    )
    seen, told = listed(path)
    hosts = seen["_meta"]["hostvars"]
    assert set(hosts) == {"app1", "app2", "app3", "app4", "server"}
    assert {name: hosts[name]["ansible_host"] for name in ("app1", "app3")} == {"app1": "192.0.2.11", "app3": "2001:db8::3"}
    assert hosts["app1"]["consul_tagged_addresses"] == {"wan": "198.51.100.1"} and hosts["app1"]["wan"] == "198.51.100.1"
    assert plain(hosts["app1"]["zone_of"]) == "A" and plain(hosts["app1"]["consul_meta"])["zone"] == "a"
    # The mark is there wherever others wrote, also in what was composed of it.
    for marked in (hosts["app1"]["copied"], hosts["app1"]["consul_meta"]["template"], hosts["app1"]["consul_meta"]["override"]):
        assert "lookup" in marked["__ansible_unsafe"]
    (service,) = plain(hosts["app4"]["consul_services"])
    assert (service["id"], service["address"], service["port"], service["passing"]) == ("good", "192.0.2.99", 82, True)
    assert [each["passing"] for each in hosts["app2"]["consul_services"]] == [False]
    members = {name: set(group.get("hosts", ())) for name, group in seen.items() if name not in ("_meta", "all")}
    assert members["service_web"] == {"app1", "app2"} and members["service_cart"] == {"app3", "app4"}
    assert members["tag_blue"] == {"app1", "app2"} and members["tag_env_prod"] == {"app1"}
    assert members["zone_a"] == {"app1", "app4"} and members["ported"] == {"app4"}
    assert all(name.replace("_", "").isalnum() for name in members)
    for refused in (
        r"node 'evil\n[x'",
        "node 'nnnnnnnn",
        "node 'app[1:3]'",
        "node 'localhost'",
        "node 'arguments'",
        "port 70000",
        r"'x\ny'",
    ):
        assert refused in told
    assert "tag of app1 makes no group" in told and "tagged address 'lan' of app1" in told
    assert not crime.exists()


def test_a_play_takes_the_text_as_text_and_templates_none_of_it(inventory, run_playbook, tmp_path, crime):
    play = tmp_path / "play.yml"
    play.write_text("""
- hosts: app1
  gather_facts: false
  connection: local
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
    again: "{{ consul_meta.template }}"
    found: "{{ [again, copied, joined, consul_meta.override, consul_services[0].tags, hostvars['app1'].consul_meta.template] }}"
  tasks:
    - ansible.builtin.copy:
        dest: "{{ result }}"
        mode: "0600"
        content: "{{ found | to_json }}"
""")
    path = inventory(compose={"copied": "consul_meta.template", "joined": "'x ' ~ consul_meta.template"})
    run_playbook(play, "-i", str(path), extra_vars={"result": str(tmp_path / "result")}).succeeded()
    again, copied, joined, override, tags, hostvars = json.loads((tmp_path / "result").read_text())
    assert again == copied == hostvars == joined.removeprefix("x ") and again.startswith("{{ lookup(") and "[% lookup(" in override
    assert tags[2] == "new\nline"
    assert not crime.exists()


def _cache(folder):
    return {"cache_plugin": "ansible.builtin.jsonfile", "cache_connection": str(folder / "cache"), "cache_timeout": 3600}


def test_the_cache_answers_the_same_question_until_it_is_flushed(inventory, listed, consul, catalog, tmp_path):
    first, _told = listed(inventory(cache=True, services=["cart"], **_cache(tmp_path)))
    assert set(first["_meta"]["hostvars"]) == {"app3", "app4"} and "service_web" not in first
    assert first["service_cart"]["hosts"] == ["app3", "app4"]
    assert "lookup" in first["_meta"]["hostvars"]["app4"]["consul_meta"]["template"]["__ansible_unsafe"]
    catalog("app5", "192.0.2.15", service={"ID": "late", "Service": "cart", "Port": 83})
    consul.pause()
    try:
        cached, _told = listed(inventory(cache=True, services=["cart"], **_cache(tmp_path)))
    finally:
        consul.resume()
    assert cached == first
    # Another question is not answered by it.
    other, _told = listed(inventory(cache=True, services=["cart"], passing_only=True, **_cache(tmp_path)))
    assert set(other["_meta"]["hostvars"]) == {"app4", "app5"}
    flushed, _told = listed(inventory(cache=True, services=["cart"], **_cache(tmp_path)), "--flush-cache")
    assert set(flushed["_meta"]["hostvars"]) == {"app3", "app4", "app5"}


def test_fewer_hosts_than_there_have_to_be_are_an_error(inventory, listed):
    _seen, told = listed(inventory(services=["gone"]), code=1)
    assert "gave 0 hosts of 0 nodes, fewer than minimum_hosts, 1" in told
    assert "Traceback" not in told


def read(consul, **options):
    wanted = {"services": (), "passing_only": False, "minimum": 1, **options}
    return {host.name: host for host in read_hosts(Consul(consul.url), HostQuery(CatalogQuery(), **wanted))[0]}


def test_only_what_passes(consul, catalog):
    hosts = read(consul, passing_only=True)
    assert "app3" not in hosts and {"app1", "app2", "app4"} <= set(hosts)
    assert (hosts["app1"].services, hosts["app2"].services) == (("web",), ())
    # By service, with its checks in one answer.
    assert read(consul, passing_only=True, services=("web",))["app1"].services == ("web",)
    assert set(read(consul, services=("web",))) == {"app1", "app2", "app4"}


def test_the_number_of_warnings_is_bounded(consul, catalog):
    for number in range(30):
        catalog("app1", "192.0.2.11", service={"ID": f"bad {number}", "Service": "web", "Port": 80})
    _hosts, warnings = read_hosts(Consul(consul.url), HostQuery(CatalogQuery(), (), False, 1))
    assert len(warnings) == 21 and "more were left out" in warnings[-1]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"services": ["a b"]}, "service name 'a b' is not allowed"),
        ({"datacenter": "dc1\n"}, "datacenter: 'dc1"),
    ],
)
def test_a_wrong_option_is_refused_by_name(option, told):
    given = {"services": [], "datacenter": None, "consistency": "default", "passing_only": False, "minimum_hosts": 1, **option}
    with pytest.raises(AutoscaleError, match=told):
        HostQuery.from_options(given)


def test_the_plugin_reads_files_of_its_names_only(inventory, listed, tmp_path):
    other = tmp_path / "other.yml"
    other.write_text(inventory().read_text())
    _seen, told = listed(other, code=1)
    assert "could not be verified by inventory plugin 'microservices.autoscale.consul'" in told
