"""The table of media: every name of the API, numbers that physics allows, and delays by hand."""

from typing import get_args

import pytest

from polyhull.api.v1alpha1.topology import Medium as Name
from polyhull.domain.fleet import Evidence
from polyhull.domain.media import LIGHT_METRES_PER_SECOND, MEDIA, propagation_seconds


def test_every_medium_that_a_link_can_name_is_in_the_table_and_no_other() -> None:
    assert sorted(MEDIA) == sorted(get_args(Name))


@pytest.mark.parametrize("name", sorted(MEDIA))
def test_nothing_is_faster_than_light_or_better_than_its_line_rate_and_all_is_sourced(name: str) -> None:
    medium = MEDIA[name]
    assert 0.4 * LIGHT_METRES_PER_SECOND < medium.metres_per_second <= LIGHT_METRES_PER_SECOND
    assert 0.5 <= medium.efficiency <= 1.0
    assert len(medium.source) > 40
    assert "assumed" in medium.source or medium.evidence is not Evidence.ASSUMED


def test_hollow_core_takes_about_two_thirds_of_fibres_delay() -> None:
    assert propagation_seconds("HollowCoreFibre", 1.0) == pytest.approx(
        propagation_seconds("Fibre", 1.0) * 2 / 3, rel=0.03
    )


def test_a_thousand_kilometres_of_fibre_take_about_five_milliseconds() -> None:
    assert propagation_seconds("Fibre", 1000.0) == pytest.approx(4.897e-3, rel=1e-3)


def test_rdma_framing_costs_less_than_tcp_in_small_frames() -> None:
    order = ["Ethernet", "LosslessEthernet", "InfiniBand"]
    assert sorted(order, key=lambda name: MEDIA[name].efficiency) == order
    assert MEDIA["Ethernet"].efficiency == pytest.approx(0.941, abs=1e-3)
