"""What links are made of: how fast a signal travels, and which share of the line rate is payload.

Propagation alone, without what switches and hosts add. Efficiency is what framing leaves of the line rate; it counts
for traffic between the parts of one job (optimize/cross_site.py), while transfers keep the policy's bandwidth margin.
Figures follow from the documents each `source` names; `Assumed` where none was found.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from polyhull.domain.fleet import Evidence

LIGHT_METRES_PER_SECOND = 299_792_458.0


@dataclass(frozen=True, slots=True)
class Medium:
    """`metres_per_second` of a signal, `efficiency` in (0, 1]: payload over line rate."""

    metres_per_second: float
    efficiency: float
    evidence: Evidence
    source: str


_FIBRE = LIGHT_METRES_PER_SECOND / 1.468
"""Group index 1.468 of standard single-mode fibre (ITU-T G.652) at 1550 nm: 4.897 us/km."""
_TWISTED_PAIR = 100.0 / 548e-9
_TCP = 1448.0 / 1538.0
"""TCP over IPv4 with time stamps in frames of 1,500 bytes: 52 bytes of headers, 38 of framing, preamble and gap."""
_ROCE = 4096.0 / (4096.0 + 82.0)
_INFINIBAND = 4096.0 / (4096.0 + 26.0)
_PCIE = 256.0 / (256.0 + 20.0) * 128.0 / 130.0
_TRACE = LIGHT_METRES_PER_SECOND / 2.0

MEDIA: Mapping[str, Medium] = {
    "CXL": Medium(
        _TRACE,
        64.0 / 68.0 * 128.0 / 130.0,
        Evidence.DATASHEET,
        "68-byte flit with 64 bytes of slots on PCIe 5.0's 128b/130b (hawk90.github.io, CXL 4.0 Internals, 9);"
        " board traces at half the speed of light: assumed (relative permittivity 4)",
    ),
    "Ethernet": Medium(
        _TWISTED_PAIR,
        _TCP,
        Evidence.DATASHEET,
        "a channel of 100 m may take 548 ns at most, Category 5e and 6 (LAN Wiring, table 5.1, what-when-how.com);"
        " 1,448 bytes of TCP payload in 1,538 on the wire",
    ),
    "Fibre": Medium(
        _FIBRE,
        _TCP,
        Evidence.DATASHEET,
        "group index 1.468 (mapyourtech.com, The 5-Microsecond Rule; others: 1.467 to 1.4682); TCP as on Ethernet",
    ),
    "HollowCoreFibre": Medium(
        LIGHT_METRES_PER_SECOND * 0.997,
        _TCP,
        Evidence.DATASHEET,
        "99.7 % of the speed of light (NANOG list, June 2020), so about two thirds of fibre's delay: 6,000 km take 20"
        " instead of 30 ms (fiberpulse.io, Hollow Core Fiber), 33 % less measured over 40 km (optic.ca, 2025); TCP as"
        " on Ethernet",
    ),
    "InfiniBand": Medium(
        _FIBRE,
        _INFINIBAND,
        Evidence.DATASHEET,
        "local header 8, base transport 12 and checks 6 bytes for 4,096 of payload (InfiniBand Architecture); optical"
        " cables as fibre",
    ),
    "LosslessEthernet": Medium(
        _FIBRE,
        _ROCE,
        Evidence.DATASHEET,
        "RoCE v2 adds 82 bytes, gap and preamble included, to 4,096 of payload (pingdo.net, RoCE v2 Header Overhead);"
        " optical cables as fibre",
    ),
    "PCIe": Medium(
        _TRACE,
        _PCIE,
        Evidence.DATASHEET,
        "20 bytes for 256 of payload (Intel AN 456, Throughput for Posted Writes: 92 %), 128b/130b from generation 3"
        " (Intel AN 708); board traces at half the speed of light: assumed (relative permittivity 4)",
    ),
    "Satellite": Medium(
        LIGHT_METRES_PER_SECOND,
        0.8,
        Evidence.ASSUMED,
        "radio in vacuum; the distance is the whole path, up and down; a fifth for framing and coding: assumed",
    ),
    "Wireless": Medium(
        LIGHT_METRES_PER_SECOND / 1.0003,
        0.65,
        Evidence.DATASHEET,
        "radio in air; 65 to 70 % of the PHY rate under ideal conditions (meter.dev, WiFi throughput expectations and"
        " limitations); 33 to 50 % in crowded places",
    ),
}
"""Every medium a Link can name."""


def propagation_seconds(medium: str, kilometres: float) -> float:
    """One way, over this distance. Raises KeyError for a medium that is not in the table."""
    return kilometres * 1000.0 / MEDIA[medium].metres_per_second
