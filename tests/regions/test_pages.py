"""The regions map and its table say the same, and unknown is never coloured as good."""

import pytest

from infra_console.fleet.services import apply_fleet_config
from regions.figures import map_figure
from regions.land import land_path
from regions.queries import region_states
from tests.observations import observed, service
from tests.people import person
from tests.tiers.factories import fleet_config

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(client):
    apply_fleet_config(fleet_config(), by="tester")
    client.force_login(person("viewer"))
    return client


def test_a_region_carries_its_worst_ratio_on_map_and_in_table(viewer):
    observed(workloads={"chat": service(0.83)})
    (trace,) = viewer.get("/regions/chart").json()["data"]
    assert trace["marker"]["color"] == [0.83]
    assert "chat: 0.83 ×" in trace["hovertext"][0]
    page = viewer.get("/regions/").content.decode()
    assert "0.83 ×" in page
    assert "close to SLO" in page


def test_over_the_slo_is_told_by_shape_as_well_as_colour(viewer):
    observed(workloads={"chat": service(1.2)})
    (trace,) = viewer.get("/regions/chart").json()["data"]
    assert trace["marker"]["symbol"] == ["diamond"]


@pytest.mark.parametrize("entry", [{"reachable": False}, {"workloads": {"chat": service(None)}}])
def test_what_is_not_known_now_is_a_cross_without_a_colour_of_the_scale(viewer, entry):
    observed(age_s=900, **entry)
    (trace,) = viewer.get("/regions/chart").json()["data"]
    assert trace["name"] == "unknown"
    assert "colorscale" not in trace["marker"]


def test_a_region_that_does_not_answer_keeps_its_last_numbers_dimmed_with_the_cause(viewer):
    observed(age_s=900, reachable=False)
    page = viewer.get("/regions/").content.decode()
    assert 'class="old"' in page
    assert "connection refused" in page
    assert "in SLO" not in page


def test_a_click_leads_to_the_regions_tiers_with_the_range_kept(viewer):
    observed()
    (trace,) = viewer.get("/regions/chart?range=3h").json()["data"]
    assert trace["customdata"][0]["href"] == "/tiers/?region=north&range=3h"


def test_a_region_nobody_configured_is_said_to_be_unknown(viewer):
    page = viewer.get("/regions/?region=atlantis").content.decode()
    assert "No region is called atlantis" in page


def test_close_neighbours_do_not_write_over_each_other():
    apply_fleet_config(fleet_config(regions=_neighbours()), by="tester")
    (trace,) = map_figure(region_states(), {"north": "", "east": ""})["data"]
    assert set(trace["textposition"]) == {"middle left", "middle right"}


def _neighbours() -> list[dict]:
    (north,) = fleet_config().model_dump(by_alias=True)["regions"]
    return [north, {**north, "id": "east", "longitude": 16.0}]


def test_the_thumbnails_land_stays_within_the_world(viewer):
    answer = viewer.get("/regions/land.svg")
    assert answer["Content-Type"] == "image/svg+xml"
    numbers = land_path().replace("M", " ").replace("L", " ").replace("Z", " ").split()
    assert len(numbers) > 1000
    assert all(0 <= float(x) <= 360 for x in numbers[::2])
    assert all(0 <= float(y) <= 180 for y in numbers[1::2])
