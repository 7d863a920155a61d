"""The named demo fleets: which sites, racks and cards they have. Data; how they behave is in machine.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fleetctl.errors import NotFoundError


@dataclass(frozen=True, slots=True)
class CardType:
    """One kind of card as its tool names it. plugin: whose simulator prints it; chip: the catalogue's name."""

    plugin: str
    name: str
    chip: str
    mem_mib: int
    cap_w: float
    idle_w: float
    clock_mhz: int


# Names, memory and caps as the tools of real machines print them (chip catalogue and recordings).
H100 = CardType("nvidia", "NVIDIA H100 80GB HBM3", "H100 SXM5 80GB", 81559, 700, 70, 1980)
A100 = CardType("nvidia", "NVIDIA A100-SXM4-80GB", "A100 SXM4 80GB", 81920, 400, 55, 1410)
L40S = CardType("nvidia", "NVIDIA L40S", "L40S", 46068, 350, 35, 2520)
RTX4090 = CardType("nvidia", "NVIDIA GeForce RTX 4090", "RTX 4090", 24564, 450, 20, 3105)
B910B3 = CardType("ascend", "910B3", "Ascend 910B3", 65536, 400, 95, 1800)
L4 = CardType("nvidia", "NVIDIA L4", "L4", 23034, 72, 13, 2040)
MI300X = CardType("amd", "AMD Instinct MI300X", "Instinct MI300X", 196288, 750, 130, 2100)


@dataclass(frozen=True, slots=True)
class Part:
    """Hosts of one kind on one site: prefix and digits name them, per_rack fills racks."""

    site: str
    prefix: str
    count: int
    card: CardType | None
    cards: int = 8
    model: str = ""
    per_rack: int = 4
    rack_budget_w: float = 44_000
    pool: str = "train"


@dataclass(frozen=True, slots=True)
class SitePlan:
    """One facility of a demo fleet."""

    name: str
    title: str
    operator: str
    region: str
    tier: str
    grid_region: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """One named demo fleet."""

    name: str
    doc: str
    sites: tuple[SitePlan, ...]
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        return sum(part.count for part in self.parts)


_LINGANG = SitePlan("lingang", "临港智算中心", "City Compute", "Shanghai", "hub", "East")
_MINHANG = SitePlan("minhang", "闵行智算中心", "Carrier East", "Shanghai", "city", "East")
_JIADING = SitePlan("jiading", "嘉定智算中心", "AutoCloud", "Shanghai", "city", "East")
_PUDONG = SitePlan("pudong", "浦东超算", "University Lab", "Shanghai", "city", "East")
_QINGPU = SitePlan("qingpu", "青浦边缘节点", "Carrier South", "Shanghai", "edge", "East")

CITY = Fleet(
    "city",
    "five sites with five owners in one city, four vendors' cards",
    (_LINGANG, _MINHANG, _JIADING, _PUDONG, _QINGPU),
    (
        Part("lingang", "lg-h100-", 24, H100, model="DGX H100", rack_budget_w=44_000),
        Part("minhang", "mh-910b-", 16, B910B3, model="Atlas 800T A2", rack_budget_w=26_000),
        Part("jiading", "jd-a100-", 8, A100, model="DGX A100", rack_budget_w=28_000),
        Part("jiading", "jd-mi300-", 4, MI300X, model="PowerEdge XE9680", rack_budget_w=40_000),
        Part(
            "pudong", "pd-cpu-", 4, None, cards=0, model="PowerEdge R750", per_rack=16, rack_budget_w=16_000, pool="cpu"
        ),
        Part("qingpu", "qp-l40s-", 4, L40S, cards=4, model="R5300 G5", rack_budget_w=12_000, pool="infer"),
    ),
)
SMALL = Fleet(
    "centres",
    "four small AI centres of 2.6, 13.2, 17.5 and 35.3 PFLOPS (FP16, dense)",
    (
        SitePlan("c26", "一号智算中心", "District A", "Hangzhou", "city", "East"),
        SitePlan("c132", "二号智算中心", "District B", "Ningbo", "city", "East"),
        SitePlan("c175", "三号智算中心", "District C", "Jiaxing", "city", "East"),
        SitePlan("c353", "四号智算中心", "District D", "Huzhou", "city", "East"),
    ),
    (
        Part("c26", "c26-", 2, RTX4090, model="R5300 G5", pool="infer", rack_budget_w=20_000),
        Part("c132", "c132-", 10, RTX4090, model="R5300 G5", pool="infer", rack_budget_w=20_000),
        Part("c175", "c175-", 7, A100, model="DGX A100", rack_budget_w=28_000),
        Part("c353", "c353-", 14, B910B3, model="Atlas 800T A2", rack_budget_w=26_000),
        Part("c353", "c353-l4-", 1, L4, cards=2, model="R4900 G5", pool="infer", rack_budget_w=8_000),
    ),
)
PROVINCES = Fleet(
    "provinces",
    "five sites in five provinces, hub and city tiers",
    (
        SitePlan("zhangjiakou", "张家口枢纽", "Carrier North", "Hebei", "hub", "North"),
        SitePlan("wuhu", "芜湖枢纽", "Carrier East", "Anhui", "hub", "East"),
        SitePlan("guian", "贵安枢纽", "Carrier South", "Guizhou", "hub", "South"),
        SitePlan("qingyang", "庆阳枢纽", "West Compute", "Gansu", "hub", "Northwest"),
        SitePlan("shaoguan", "韶关枢纽", "Bay Compute", "Guangdong", "hub", "South"),
    ),
    (
        Part("zhangjiakou", "zjk-", 20, H100, model="DGX H100"),
        Part("wuhu", "wh-", 20, B910B3, model="Atlas 800T A2", rack_budget_w=26_000),
        Part("guian", "ga-", 20, B910B3, model="Atlas 800T A2", rack_budget_w=26_000),
        Part("qingyang", "qy-", 20, MI300X, model="PowerEdge XE9680", rack_budget_w=40_000),
        Part("shaoguan", "sg-", 20, A100, model="DGX A100", rack_budget_w=28_000),
    ),
)
LARGE = Fleet(
    "large",
    "12,500 nodes with eight cards each on three sites",
    (_LINGANG, _MINHANG, SitePlan("guian", "贵安枢纽", "Carrier South", "Guizhou", "hub", "South")),
    (
        Part("lingang", "lg-", 6000, H100, model="DGX H100"),
        Part("minhang", "mh-", 4500, B910B3, model="Atlas 800T A2", rack_budget_w=26_000),
        Part("guian", "ga-", 2000, MI300X, model="PowerEdge XE9680", rack_budget_w=40_000),
    ),
)
FLEETS: dict[str, Fleet] = {fleet.name: fleet for fleet in (CITY, SMALL, PROVINCES, LARGE)}


def find_fleet(name: str) -> Fleet:
    """A fleet by name. Raises NotFoundError naming the known ones."""
    if name not in FLEETS:
        raise NotFoundError(f"no demo fleet named {name!r}", hint=f"known: {', '.join(FLEETS)}")
    return FLEETS[name]


def resized(fleet: Fleet, hosts: int) -> Fleet:
    """The same fleet with `hosts` hosts in all, every part keeping its share and at least one host while they last."""
    shares = [part.count * hosts / fleet.size for part in fleet.parts]
    counts = [int(share) for share in shares]
    order = sorted(range(len(shares)), key=lambda i: (counts[i] > 0, counts[i] - shares[i]))
    for i in (order * (hosts + 1))[: hosts - sum(counts)]:
        counts[i] += 1
    parts = tuple(replace(part, count=count) for part, count in zip(fleet.parts, counts, strict=True) if count)
    used = {part.site for part in parts}
    return replace(fleet, sites=tuple(site for site in fleet.sites if site.name in used), parts=parts)


def names(part: Part) -> Iterator[str]:
    """Host names of a part: prefix and a number padded to the part's size."""
    digits = max(2, len(str(part.count)))
    for number in range(1, part.count + 1):
        yield f"{part.prefix}{number:0{digits}d}"
