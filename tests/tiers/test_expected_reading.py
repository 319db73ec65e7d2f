"""The sources' page tells what reading will cost, by the function that the command prints from."""

from io import StringIO
from math import ceil

import pytest
from django.core.management import call_command
from django.urls import reverse

from infra_console.telemetry.expected import cap_words, expected_reading
from infra_console.telemetry.pace import Use
from tests.observations import observed
from tests.people import person
from tiers.core.query_budget import FleetSize
from tiers.query_budget import ASSUMED_NODES, reading_of

pytestmark = pytest.mark.usefixtures("fleet")


def test_the_estimate_is_by_the_gpus_that_were_seen_and_by_the_fleets_models():
    observed()  # 24 GPUs
    found = expected_reading(["north"])
    assert (found.clusters, found.nodes, found.assumed) == (1, 3, False)
    assert found == reading_of(FleetSize(clusters=1, nodes=3, models=1), by_metrics=False)
    assert found.total.queries == sum(ceil(part.use.queries) for part in found.parts) > 50


@pytest.mark.parametrize("seen", [{}, {"gpus": None}])
def test_a_size_that_nobody_counted_is_assumed_and_said_so(seen):
    if seen:
        observed(**seen)
    found = expected_reading(["north"])
    assert (found.nodes, found.assumed) == (ASSUMED_NODES, True)
    named = expected_reading(["north"], nodes=40)
    assert (named.nodes, named.assumed) == (40, False)
    assert named.total.series < found.total.series


def test_the_form_tells_it_before_the_source_is_kept_and_no_secret_goes_with_the_question(client):
    client.force_login(person("admin"))
    page = client.get(reverse("sources:edit", args=["new"])).content.decode()
    total = expected_reading(["north"]).total
    assert f"<strong>{total.queries}</strong>" in page
    assert "1 cluster, 1\u202f000 GPU nodes (assumed: none was counted yet)" in page
    assert "No cap is set: nothing holds the readings back." in page
    assert """hx-include="[name='cluster'],[name='nodes'],[name^='max_']\"""" in page
    given = {"cluster": "north", "nodes": "40", "max_queries_per_min": "30"}
    part = client.get(reverse("sources:expected"), given).content.decode()
    total = expected_reading(["north"], nodes=40).total
    assert f"<strong>{total.queries}</strong>" in part
    assert "40 GPU nodes. An" in part
    assert "times the cap of 30 questions/min: the readings back off by themselves to" in part


@pytest.mark.parametrize(
    "odd", [{"nodes": "-1"}, {"nodes": "1e9"}, {"nodes": "9" * 400}, {"max_mib_per_min": "x"},
            {"nodes": "\u0664"}, {"cluster": "nowhere"}],
)  # fmt: skip
def test_a_number_that_is_none_yet_breaks_no_estimate(client, odd):
    client.force_login(person("admin"))
    assert client.get(reverse("sources:expected"), odd).status_code == 200


def test_who_may_not_keep_sources_is_not_told(client):
    client.force_login(person("viewer"))
    assert client.get(reverse("sources:expected")).status_code == 403


def test_the_card_of_a_source_tells_it_beside_its_cap(client):
    observed()
    client.force_login(person("viewer"))
    page = client.get(reverse("sources:index")).content.decode()
    assert f"{expected_reading(['north']).total.words}, for 3 GPU nodes; No cap is set" in page


def test_the_command_prints_the_same(capsys):
    call_command("adopt", "--budget-only", "--clusters", "2", "--nodes", "400", stdout=StringIO())
    total = reading_of(FleetSize(clusters=2, nodes=400), by_metrics=True).total
    assert (
        f"then asks {total.queries:,} queries, {total.series:,} series" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("caps", "words"),
    [
        (Use(queries=200), "Within the cap of 200 questions/min: 50% of it."),
        (Use(queries=100), "Within the cap of 100 questions/min: 100% of it."),
        (Use(queries=200, series=300), "3.0 times the cap of 300 series/min: the readings back off "
         "by themselves to about every 60 s."),
        (Use(queries=2), "50.0 times the cap of 2 questions/min: the readings back off by "
         "themselves to about every 240 s; what still does not fit into a minute is refused and "
         "unknown."),
    ],
)  # fmt: skip
def test_what_a_cap_does_is_said_before_it_does_it(caps, words):
    assert cap_words(Use(queries=100, series=900, bytes=2**20), caps) == words
