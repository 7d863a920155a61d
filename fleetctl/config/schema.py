"""Every setting of fleet.toml, declared once: validation, example file and reference page are generated from here.

Tables of TOML are frozen dataclasses; a field is a key. To add a setting, add one field. Lists of tables are tuples.
"""

from __future__ import annotations

from dataclasses import dataclass

from fleetctl.config.setting import setting


@dataclass(frozen=True)
class Site:
    """One facility with one operator, region, grid and network position."""

    name: str = setting("short name, used in filters and commands", example="lingang")
    title: str = setting("name for people", default="", example="临港智算中心")
    operator: str = setting("who owns the machines", default="", example="City Compute Ltd")
    region: str = setting("administrative region", default="", example="Shanghai")
    tier: str = setting("role in the network", default="city", choices=("hub", "city", "edge"))
    grid_region: str = setting(
        "power grid, whose dated carbon factor makes CUE of PUE",
        default="",
        choices=("", "North", "Northeast", "East", "Central", "Northwest", "South", "Southwest"),
        example="East",
    )
    jump: str = setting("SSH jump host for every host of the site", default="")
    max_connecting: int = setting("SSH connections being set up at once", default=8, minimum=1, maximum=1000)
    max_sessions: int = setting("SSH connections kept open at once", default=20000, minimum=1)
    max_drain_pct: float = setting(
        "share of the site that may be out of service at once", default=20.0, unit="%", minimum=0, maximum=100
    )
    max_drain_nodes: int | None = setting(
        "hosts of the site that may be out of service at once", default=None, minimum=0
    )
    latency_ms: float | None = setting(
        "round trip to the users, for latency classes", default=None, unit="ms", minimum=0, example=4
    )
    green_share_pct: float | None = setting(
        "share of green power, grid mix excluded, for requests that prefer it", default=None, unit="%", minimum=0
    )


@dataclass(frozen=True)
class Hall:
    """A room of a site."""

    name: str = setting("short name, unique in the fleet", example="lg-a")
    site: str = setting("site it is in", example="lingang")


@dataclass(frozen=True)
class Rack:
    """A rack, its place and its power budget."""

    name: str = setting("short name, unique in the fleet; also the node group @name", example="lg-r12")
    site: str = setting("site it is in", example="lingang")
    hall: str = setting("hall it is in", default="", example="lg-a")
    row: str = setting("row it is in", default="", example="3")
    nodes: str = setting("hosts in it, as a node set", default="", example="gpu[001-008]")
    leaf: str = setting("leaf switch its hosts hang on, for gangs that must share one", default="", example="lg-leaf-3")
    power_domain: str = setting("feed or UPS it hangs on; a guard counts per domain", default="", example="ups-a")
    power_budget_w: float | None = setting("what the rack may draw", default=None, unit="W", minimum=0, example=44000)


@dataclass(frozen=True)
class Pool:
    """Hosts that are handed out as one kind of capacity."""

    name: str = setting("short name; also the node group @name", example="train")
    nodes: str = setting("hosts in it, as a node set", default="", example="gpu[001-128]")
    partition: str = setting(
        "instead of nodes: a partition of another scheduler, SCHEDULER/NAME; its hosts as that one said last",
        default="",
    )
    max_drain_pct: float = setting(
        "share of the pool that may be out of service at once", default=20.0, unit="%", minimum=0, maximum=100
    )
    max_drain_nodes: int | None = setting(
        "hosts of the pool that may be out of service at once", default=None, minimum=0
    )


@dataclass(frozen=True)
class HostGroup:
    """Hosts that are reached and built alike. Folded: one entry describes thousands."""

    nodes: str = setting("hosts, as a node set", example="gpu[001-128]")
    site: str = setting("site they are in", example="lingang")
    address: str = setting(
        "address pattern: {name} is the host's name, {number} its last number; empty: as the SSH config says",
        default="",
        example="{name}.lingang.example",
    )
    port: int | None = setting("SSH port", default=None, minimum=1, maximum=65535)
    user: str = setting("SSH user", default="", example="ops")
    jump: str = setting("SSH jump host", default="", example="bastion.lingang.example")
    transport: str = setting("how they are reached", default="ssh", choices=("ssh", "local", "replay"))
    model: str = setting("server model expected", default="", example="Atlas 800T A2")
    chip: str = setting("accelerator expected, as the chip catalogue calls it", default="", example="H100 SXM5 80GB")
    cards: int | None = setting("accelerators expected per host", default=None, minimum=0, maximum=256, example=8)


@dataclass(frozen=True)
class Group:
    """A named node set, used as @name."""

    name: str = setting("group name", example="lemons")
    nodes: str = setting("hosts in it, as a node set", example="gpu[007,042]")


@dataclass(frozen=True)
class Poll:
    """How often hosts are asked, and when a value counts as old."""

    interval_s: float = setting("length of a round", default=60.0, unit="s", minimum=1, maximum=3600)
    slow_interval_s: float = setting("cadence of slow probes", default=300.0, unit="s", minimum=1)
    quiet_interval_s: float = setting("cadence for hosts that do not answer", default=300.0, unit="s", minimum=1)
    stale_after: float = setting("rounds after which a value counts as stale", default=2.5, minimum=1)
    unreachable_after: int = setting("failed rounds before a host counts as unreachable", default=2, minimum=1)
    max_output_bytes: int = setting("output kept per probe and round", default=1_048_576, unit="B", minimum=4096)
    expected_hosts: int = setting("hosts a fleet file may name at most", default=200_000, minimum=1)


@dataclass(frozen=True)
class Ssh:
    """How SSH connections are made. The user's own SSH config, agent, certificates and known hosts are honoured."""

    config: str = setting("SSH config file; empty: none", default="~/.ssh/config")
    known_hosts: str = setting("the user's known hosts; read only", default="~/.ssh/known_hosts")
    host_keys: str = setting("our own store of accepted host keys; empty: beside the database", default="")
    host_key_policy: str = setting(
        "what to do with a host never seen before", default="strict", choices=("strict", "accept-new")
    )
    identity_files: tuple[str, ...] = setting("private keys, before those of the SSH config", default=())
    connect_timeout_s: float = setting("limit for setting up one connection", default=15.0, unit="s", minimum=1)
    keepalive_s: float = setting("idle time before a keep-alive", default=30.0, unit="s", minimum=1)
    connects_per_second: float = setting(
        "new connections a second, per jump host or site", default=50.0, unit="1/s", minimum=0.1
    )
    max_connecting: int = setting("connections being set up at once, in all", default=32, minimum=1)
    loop: str = setting(
        "keep a small loop on the host that streams frames", default="auto", choices=("auto", "python", "sh", "exec")
    )


@dataclass(frozen=True)
class Store:
    """Where telemetry goes and how long it stays."""

    path: str = setting("database file; on a local disk", default="~/.local/share/fleetctl/fleet.db")
    raw_hours: float = setting("time that single samples are kept as plain rows", default=2.0, unit="h", minimum=0.1)
    chunk_days: float = setting("time that single samples are kept in sealed chunks", default=14.0, unit="d", minimum=0)
    rollup_days: float = setting("time that hourly rollups are kept", default=400.0, unit="d", minimum=1)
    event_days: float = setting("time that events and resolved findings are kept", default=400.0, unit="d", minimum=1)


@dataclass(frozen=True)
class Guards:
    """How much one operation, or all of them together, may take out of service."""

    confirm_above_pct: float = setting(
        "share of a site above which the number of nodes must be typed", default=10.0, unit="%", minimum=0, maximum=100
    )
    max_nodes: int = setting("nodes one plan may touch", default=500, minimum=1)
    max_rack_pct: float = setting(
        "share of a rack that may be out of service at once", default=100.0, unit="%", minimum=0, maximum=100
    )
    max_rack_nodes: int | None = setting("hosts of a rack that may be out of service at once", default=None, minimum=0)
    max_power_pct: float = setting(
        "share of a power domain that may be out of service at once", default=100.0, unit="%", minimum=0, maximum=100
    )
    max_power_nodes: int | None = setting(
        "hosts of a power domain that may be out of service at once", default=None, minimum=0
    )
    breaker_actions: int = setting(
        "automatic actions after which automation stops until a person resets it", default=20, minimum=1
    )
    breaker_window_s: float = setting("window in which those actions are counted", default=3600.0, unit="s", minimum=1)


@dataclass(frozen=True)
class Thresholds:
    """When a value becomes a finding. Chips may set their own in the catalogue."""

    card_temp_warn_c: float = setting("core temperature", default=85.0, unit="°C")
    card_temp_crit_c: float = setting("core temperature", default=92.0, unit="°C")
    disk_warn_pct: float = setting("fullest file system", default=85.0, unit="%")
    disk_crit_pct: float = setting("fullest file system", default=95.0, unit="%")
    mem_warn_pct: float = setting("memory in use on the host", default=95.0, unit="%")
    procs_d_warn: int = setting("processes in state D", default=8)
    clock_skew_warn_s: float = setting("host clock against console clock", default=5.0, unit="s")
    hold_rounds: int = setting(
        "rounds a condition must last before it fires, and be gone before it resolves", default=2, minimum=1
    )


@dataclass(frozen=True)
class Tenant:
    """Who uses cards, how many at most, and how much of the fleet is fairly theirs."""

    name: str = setting("short name", example="city-lab")
    title: str = setting("name for people", default="")
    max_cards: float | None = setting(
        "cards held at once, at most; empty: no limit", default=None, minimum=0, example=256
    )
    max_leases: int | None = setting("leases held at once, at most", default=None, minimum=0)
    share: float = setting("weight in fair share; 2 is owed twice as much as 1", default=1.0, minimum=0.001)
    classes: tuple[str, ...] = setting(
        "priority classes it may ask for", default=("normal", "spot"), choices=("urgent", "normal", "spot")
    )


@dataclass(frozen=True)
class Price:
    """What a card of a chip costs an hour, for price ceilings and cost estimates."""

    chip: str = setting("chip, as the chip catalogue calls it", example="H100 SXM5 80GB")
    amount: float = setting("per card-hour", unit="yuan", minimum=0, example=12.5)


@dataclass(frozen=True)
class Hooks:
    """Commands that run on the hosts of a lease, over SSH, when it begins and ends."""

    prolog: str = setting("POSIX sh run before the tenant uses the host; empty: none", default="")
    epilog: str = setting("POSIX sh run after the tenant left; empty: none", default="")
    timeout_s: float = setting("limit for one hook on one host", default=60.0, unit="s", minimum=1, maximum=3600)
    retries: int = setting("tries when a host does not answer", default=3, minimum=1, maximum=20)


@dataclass(frozen=True)
class Scheduling:
    """How requests are ordered and started."""

    policy: str = setting(
        "where requests go, by the names of `simulate --policy`",
        default="fgd",
        choices=("fgd", "power", "best-fit", "first-fit", "tightest", "random"),
    )
    order: str = setting(
        "who is next among those of one class and share, by the names of `simulate --policy`: fleet (least expected work"
        " first, with ageing), easy (who came first), fifo (who came first, and nobody passes)",
        default="fleet",
        choices=("fleet", "easy", "fifo"),
    )
    keep_promises: bool = setting(
        "who was first in line and was promised a time is not passed by shorter requests that come later; `kept` in"
        " `simulate --policy`",
        default=True,
    )
    backfill: str = setting(
        "what may start out of turn: easy (nothing that delays the first in line), conservative (nothing that delays"
        " anyone before it), none",
        default="easy",
        choices=("easy", "conservative", "none"),
    )
    default_duration_s: int | None = setting("length of a lease that names none", default=86400, unit="s", minimum=1)
    max_duration_s: int | None = setting("longest lease", default=None, unit="s", minimum=1)
    fair_half_life_s: float = setting("time after which past use counts half", default=604800.0, unit="s", minimum=1)
    preempt: bool = setting("urgent requests may end spot leases", default=False)
    max_queue: int = setting("requests that may wait at once", default=10000, minimum=1)
    look_ahead: int = setting("queued requests that may be found without room in one look", default=500, minimum=1)
    clock_jump_s: float = setting(
        "jump of the clock between two ticks that is not believed until a second tick confirms it",
        default=21600.0,
        unit="s",
        minimum=60,
    )
    drain_waits_for_processes: bool = setting(
        "a node with processes on its cards is not drained, even without a lease", default=True
    )
    drain_ignores: tuple[str, ...] = setting(
        "names of processes that hold cards for ever and are no work",
        default=("nvidia-persistenced", "nvidia-persiste", "Xorg", "gnome-shell", "nv-hostengine", "dcgm-exporter"),
    )
    stray_processes: str = setting(
        "a card on which a process runs that no lease covers: refuse (it is not given out, nor its node as a whole) or"
        " ignore; drain_ignores are no such processes",
        default="refuse",
        choices=("refuse", "ignore"),
    )
    drain_grace_s: float = setting(
        "time a process without a lease has between TERM and KILL, when its drain is past its deadline",
        default=30.0,
        unit="s",
        minimum=0,
        maximum=3600,
    )
    kill_prefix: str = setting(
        "what goes before `kill` on the hosts, where the login may not end processes of others",
        default="",
        example="sudo -n",
    )
    known_tenants_only: bool = setting("refuse tenants that fleet.toml does not name", default=False)


@dataclass(frozen=True)
class SchedulerClass:
    """What a class of ours is there. A row of a latency holds for every class; that of the class goes before it."""

    name: str = setting(
        "class or latency of ours",
        choices=("urgent", "normal", "spot", "realtime", "interactive", "batch"),
        example="urgent",
    )
    qos: str = setting("its quality of service", default="", example="high")
    partition: str = setting("partition it goes to, where none is named", default="")
    nice: int | None = setting("put behind others by so much", default=None, example=100)
    requeue: bool | None = setting(
        "`jobs submit`: begins anew after it was preempted; unset: as usual there", default=None
    )


@dataclass(frozen=True)
class Scheduler:
    """A scheduler beside ours that owns nodes (Slurm). fleetctl reads it every round and asks it to drain and resume."""

    site: str = setting("site whose nodes it owns", example="lingang")
    kind: str = setting("which plugin speaks to it", default="slurm", example="slurm")
    name: str = setting("short name; empty: kind@site", default="")
    login: str = setting(
        "host on which its commands are run: one of the inventory, or an SSH destination; empty: this machine",
        default="",
        example="ops@login1.lingang.example",
    )
    bin: str = setting(
        "folder of its commands there, where it is not on the PATH", default="", example="/opt/slurm/bin"
    )
    conf: str = setting("its configuration file there, where it is not the usual one", default="")
    prefix: str = setting("what goes before a command that changes something", default="", example="sudo -n")
    node_pattern: str = setting(
        "its name for a host: {name} is the host's name in fleet.toml", default="{name}", example="{name}"
    )
    every_s: float = setting("cadence of reading; 0: that of a round", default=0.0, unit="s", minimum=0, maximum=3600)
    timeout_s: float = setting("limit of one of its commands", default=20.0, unit="s", minimum=1, maximum=600)
    gres: str = setting("its name for accelerators, for jobs we submit", default="gpu", example="gpu")
    rest: str = setting(
        "address of its REST daemon (slurmrestd 24.11 and later) instead of its commands: http://, https:// or unix:",
        default="",
    )
    token_file: str = setting("file of mode 0600 with the token for `rest`", default="")
    token_command: str = setting("command that prints it instead: scontrol token lifespan=600", default="")
    tls_ca: str = setting("PEM file of the CA that signed the certificate of `rest`", default="")
    read_only: bool = setting("never change anything there", default=False)
    reserve_for: str = setting(
        "whom a reservation for a tenant is made out to there",
        default="accounts",
        choices=("accounts", "users"),
    )
    classes: tuple[SchedulerClass, ...] = setting(
        "what classes of ours are there; urgent and spot need one", default=()
    )

    @property
    def endpoint(self) -> str:
        """What it is called everywhere: `slurm@lingang`."""
        return self.name or f"{self.kind}@{self.site}"


@dataclass(frozen=True)
class BmcGroup:
    """BMCs of many hosts, reached alike. Secrets stand in a file or come from a command, never here."""

    nodes: str = setting("hosts whose BMCs these are, as a node set", example="gpu[001-128]")
    url: str = setting(
        "address pattern: {name} is the host's name, {number} its last number",
        example="redfish+https://{name}-bmc.lingang.example",
    )
    credentials: str = setting("file of mode 0600 with user and password (netrc, TOML or JSON)", default="")
    credentials_command: str = setting("command that prints them instead; {host} is the address", default="")
    tls_ca: str = setting("PEM file of the CA that signed the certificates", default="")
    tls_pins: str = setting("file with one `address SHA-256` per line, for self-signed certificates", default="")
    every_s: float = setting("cadence of power and temperatures", default=30.0, unit="s", minimum=1)
    full_every_s: float = setting("cadence of everything else", default=900.0, unit="s", minimum=10)
    timeout_s: float = setting("limit of one question", default=30.0, unit="s", minimum=1)


@dataclass(frozen=True)
class FacilityDevice:
    """A PDU, UPS, transfer switch, cooler, CDU, meter or probe with an address of its own."""

    name: str = setting("short name, unique in the fleet", example="lg-r12-pdu-a")
    url: str = setting("address", example="snmp://10.1.12.1")
    kind: str = setting(
        "what it is",
        default="sensor",
        choices=("pdu", "ups", "ats", "meter", "cdu", "crac", "chiller", "shelf", "sensor"),
        example="pdu",
    )
    site: str = setting("site it is in", default="", example="lingang")
    hall: str = setting("hall it is in", default="", example="lg-a")
    racks: tuple[str, ...] = setting("racks it feeds, cools or watches", default=(), example=["lg-r12"])
    feed: str = setting("feed it hangs on", default="", example="lg-a-A")
    map: str = setting("device map, where it is not found by itself: a shipped name or a file", default="")
    credentials: str = setting("file of mode 0600 with user, password, community or v3 keys", default="")
    credentials_command: str = setting("command that prints them instead; {host} is the address", default="")
    tls_ca: str = setting("PEM file of the CA that signed its certificate", default="")
    tls_pin: str = setting("SHA-256 of its certificate, in hex", default="")
    every_s: float = setting("cadence", default=30.0, unit="s", minimum=1)
    full_every_s: float = setting("cadence of everything that changes rarely", default=900.0, unit="s", minimum=10)
    timeout_s: float = setting("limit of one question", default=15.0, unit="s", minimum=1)


@dataclass(frozen=True)
class Feed:
    """A power feed of a hall, one side of it, with its breaker."""

    name: str = setting("short name, unique in the fleet", example="lg-a-A")
    site: str = setting("site it is in", default="", example="lingang")
    hall: str = setting("hall it is in", default="", example="lg-a")
    side: str = setting("side of a redundant pair", default="A", example="A")
    limit_w: float | None = setting("breaker limit", default=None, unit="W", minimum=0, example=250000)
    racks: tuple[str, ...] = setting("racks on it", default=(), example=["lg-r12"])


@dataclass(frozen=True)
class Meter:
    """One point of a device, with the place in the building that it measures; PUE is made of these."""

    name: str = setting("short name, unique in the fleet", example="lg-r12-a")
    device: str = setting("facility device that measures it", example="lg-r12-pdu-a")
    place: str = setting(
        "utility and generator count as facility, office is taken off, the rest are IT levels or told beside",
        choices=(
            "utility",
            "generator",
            "office",
            "ups_output",
            "pdu_output",
            "busway",
            "it_input",
            "cooling",
            "water",
            "renewable",
        ),
        example="pdu_output",
    )
    site: str = setting("site it belongs to", default="", example="lingang")
    hall: str = setting("hall it belongs to", default="", example="lg-a")
    point: str = setting("name of the power reading on the device; empty: its total power", default="")
    counter: str = setting("name of the energy counter on the device; empty: its only one", default="")
    counter_bits: int | None = setting("width of the counter, for its passing of zero", default=None, minimum=8)


@dataclass(frozen=True)
class CoolingZone:
    """Racks that share coolers or CDUs."""

    name: str = setting("short name, unique in the fleet", example="lg-a-loop1")
    site: str = setting("site it is in", default="", example="lingang")
    devices: tuple[str, ...] = setting("coolers and CDUs of it", default=(), example=["lg-r12-pdu-a"])
    racks: tuple[str, ...] = setting("racks in it", default=(), example=["lg-r12"])
    capacity_kw: float | None = setting("heat it can take away", default=None, unit="kW", minimum=0, example=800)
    supply_max_c: float | None = setting("warmest supply that is allowed", default=None, unit="°C", example=32)
    flow_min_lpm: float | None = setting("least flow that is allowed", default=None, unit="L/min", example=40)


@dataclass(frozen=True)
class Facility:
    """Power and cooling: who measures what, and what may be switched."""

    bmcs: tuple[BmcGroup, ...] = setting("BMCs of the hosts", default=())
    devices: tuple[FacilityDevice, ...] = setting("PDUs, UPSes, coolers, meters", default=())
    feeds: tuple[Feed, ...] = setting("power feeds", default=())
    meters: tuple[Meter, ...] = setting("meters and their places", default=())
    zones: tuple[CoolingZone, ...] = setting("cooling zones", default=())
    bmc_action_sites: tuple[str, ...] = setting("sites where BMCs may be acted on; none by default", default=())
    concurrency: int = setting("endpoints asked at once", default=256, minimum=1, maximum=10000)
    keep_days: float = setting("time that readings are kept", default=400.0, unit="d", minimum=1)
    minute_hours: float = setting(
        "time for which power, heat and flow are kept by the minute, beside a value per quarter of an hour; 0: never",
        default=24.0,
        unit="h",
        minimum=0,
        maximum=336,
    )
    maps: str = setting("folder of device maps of your own (*.toml for SNMP, *.json for Modbus)", default="")
    traps: str = setting("address and port where SNMP traps are heard; empty: nowhere", default="")


@dataclass(frozen=True)
class Config:
    """The whole of fleet.toml."""

    name: str = setting("name of the fleet", default="fleet", example="city-pool")
    sites: tuple[Site, ...] = setting("sites", default=())
    halls: tuple[Hall, ...] = setting("halls", default=())
    racks: tuple[Rack, ...] = setting("racks", default=())
    pools: tuple[Pool, ...] = setting("pools", default=())
    hosts: tuple[HostGroup, ...] = setting("hosts", default=())
    groups: tuple[Group, ...] = setting("named node sets", default=())
    poll: Poll = setting("polling", factory=Poll)
    ssh: Ssh = setting("SSH", factory=Ssh)
    store: Store = setting("storage", factory=Store)
    guards: Guards = setting("guards", factory=Guards)
    thresholds: Thresholds = setting("thresholds", factory=Thresholds)
    tenants: tuple[Tenant, ...] = setting("tenants and their quotas", default=())
    prices: tuple[Price, ...] = setting("prices per card-hour", default=())
    hooks: Hooks = setting("lease hooks", factory=Hooks)
    scheduling: Scheduling = setting("queue and leases", factory=Scheduling)
    schedulers: tuple[Scheduler, ...] = setting("schedulers beside ours", default=())
    facility: Facility = setting("power and cooling", factory=Facility)
    chips: str = setting("your own chip catalogue, a CSV file that wins over ours; empty: none", default="")
    language: str = setting(
        "language of screens and reports; empty: from the environment", default="", choices=("", "en", "zh")
    )
