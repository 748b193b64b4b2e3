"""Site and Link: the map that transfers travel over."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from polyhull.api.v1alpha1.common import (
    Count,
    Decimal,
    LabelMap,
    Model,
    Name,
    Object,
    Quantity,
    Share,
    Status,
    at_most_one,
    fail,
    rules,
)

Medium = Literal[
    "Ethernet",
    "LosslessEthernet",
    "InfiniBand",
    "PCIe",
    "CXL",
    "Fibre",
    "HollowCoreFibre",
    "Wireless",
    "Satellite",
]


class Power(Model):
    """The site's electricity."""

    cap_watts: Annotated[int, Field(ge=1, le=10**10)] | None = None
    """The most that devices held by planned work may draw at their peak, pue included; what idles is not counted."""
    pue: Decimal | None = None
    """Power usage effectiveness: watts drawn by the site per watt that reaches a device; 1 where unset."""
    carbon_grams_per_kilowatt_hour: Decimal | None = None
    """Of the site's electricity."""


class SiteSpec(Model):
    """A place: what is inside it has no wide-area link in between."""

    tier: Literal["Device", "Edge", "Metro", "Cloud"] = "Cloud"
    region: Annotated[str, Field(max_length=63)] | None = None
    labels: LabelMap | None = None
    """What residency and placement selectors look at."""
    power: Power | None = None


class SiteStatus(Status):
    """What was found there."""

    clusters: Count | None = None
    pools: Count | None = None


class Site(Object):
    """A place where clusters are."""

    kind: Literal["Site"]
    spec: SiteSpec
    status: SiteStatus | None = None


class LinkStatus(Status):
    """What transfers were seen to reach."""

    reached_share: Share | None = None
    """Of the margin's bandwidth: plans count on no more; unset: all of it."""
    reverse_reached_share: Share | None = None
    """Of the way back of a symmetric link."""


class LinkSpec(Model):
    """A directed link between two sites; `symmetric` declares the way back as well."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self.from != self.to", "from and to are the same site"),
            at_most_one("latencyMilliseconds", "distanceKilometres"),
        ),
    )

    source: Name = Field(alias="from")
    target: Name = Field(alias="to")
    symmetric: bool = False
    bandwidth: Quantity
    """Bits per second, such as 10G."""
    latency_milliseconds: Decimal | None = None
    distance_kilometres: Decimal | None = None
    medium: Medium | None = None
    price_per_gigabyte: Decimal | None = None
    """What one gigabyte (10^9 bytes) over the link costs; unset: unknown."""

    @model_validator(mode="after")
    def _two_ends(self) -> "LinkSpec":
        if self.source == self.target:
            raise fail("link", "from and to are the same site", "name two sites")
        if self.latency_milliseconds is not None and self.distance_kilometres is not None:
            raise fail("link", "latencyMilliseconds and distanceKilometres are both set", "set one of them")
        return self


class Link(Object):
    """A link between two sites."""

    kind: Literal["Link"]
    spec: LinkSpec
    status: LinkStatus | None = None
