# mypy: ignore-errors
# Runs on the host in the agent's python3 (3.6 or newer, no packages): reads NVML in-process instead of starting
# nvidia-smi each round, and prints what `nvidia-smi --query-gpu=... --format=csv,nounits` prints.

import ctypes
import json

_lib = None


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class _MemoryV2(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_uint),
        ("total", ctypes.c_ulonglong),
        ("reserved", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    ]


class _Use(ctypes.Structure):
    _fields_ = [("gpu", ctypes.c_uint), ("memory", ctypes.c_uint)]


class _Pci(ctypes.Structure):
    _fields_ = [
        ("old", ctypes.c_char * 16),
        ("domain", ctypes.c_uint),
        ("bus", ctypes.c_uint),
        ("device", ctypes.c_uint),
        ("ids", ctypes.c_uint),
        ("sub", ctypes.c_uint),
        ("text", ctypes.c_char * 32),
    ]


class _Value(ctypes.Union):
    _fields_ = [
        ("d", ctypes.c_double),
        ("i", ctypes.c_int),
        ("u", ctypes.c_uint),
        ("l", ctypes.c_ulong),
        ("q", ctypes.c_ulonglong),
        ("s", ctypes.c_longlong),
    ]


class _Field(ctypes.Structure):
    _fields_ = [
        ("id", ctypes.c_uint),
        ("scope", ctypes.c_uint),
        ("at", ctypes.c_longlong),
        ("took", ctypes.c_longlong),
        ("kind", ctypes.c_uint),
        ("rc", ctypes.c_uint),
        ("value", _Value),
    ]


def _library():
    """On the console's own machine the binding knows where the library is; elsewhere the loader finds it."""
    try:
        import pynvml

        pynvml.nvmlInit()
        return pynvml.nvmlLib
    except Exception:  # not installed, or no driver: the loader says which
        return ctypes.CDLL("libnvidia-ml.so.1")


def _open():
    global _lib
    if _lib is None:
        lib = _library()
        rc = lib.nvmlInit_v2()
        if rc:
            lib.nvmlErrorString.restype = ctypes.c_char_p
            words = lib.nvmlErrorString(rc)
            raise OSError("Failed to initialize NVML: " + (words.decode("utf-8", "replace") if words else str(rc)))
        _lib = lib
    return _lib


def _number(lib, name, handle, *first):
    out = ctypes.c_uint()
    call = getattr(lib, name, None)
    if call is None or call(handle, *(list(first) + [ctypes.byref(out)])):
        return None
    return out.value


def _words(lib, name, handle):
    out = ctypes.create_string_buffer(96)
    call = getattr(lib, name, None)
    if call is None or call(handle, out, ctypes.c_uint(96)):
        return None
    return out.value.decode("utf-8", "replace")


def _say(value):
    return "[N/A]" if value is None else str(value)


def _fixed(lib, name, size):
    out = ctypes.create_string_buffer(size)
    return out.value.decode("utf-8", "replace") if not getattr(lib, name)(out, ctypes.c_uint(size)) else None


def _card(lib, index, driver):
    handle = ctypes.c_void_p()
    rc = lib.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle))
    if rc:
        lib.nvmlErrorString.restype = ctypes.c_char_p
        words = lib.nvmlErrorString(rc)
        words = words.decode("utf-8", "replace") if words else str(rc)
        return None, "Unable to determine the device handle for GPU%d: %s" % (index, words)
    pci = _Pci()
    address = None
    if not lib.nvmlDeviceGetPciInfo_v3(handle, ctypes.byref(pci)):
        address = pci.text.decode("ascii", "replace")
    use = _Use()
    used = lib.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(use)) == 0
    memory = _MemoryV2()
    memory.version = ctypes.sizeof(_MemoryV2) | (2 << 24)
    call = getattr(lib, "nvmlDeviceGetMemoryInfo_v2", None)
    known = call is not None and call(handle, ctypes.byref(memory)) == 0
    if not known:
        memory = _Memory()
        known = lib.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) == 0
    power = _number(lib, "nvmlDeviceGetPowerUsage", handle)
    cap = _number(lib, "nvmlDeviceGetEnforcedPowerLimit", handle)
    field = _Field()
    field.id = 82  # NVML_FI_DEV_MEMORY_TEMP
    warm = None
    call = getattr(lib, "nvmlDeviceGetFieldValues", None)
    if call is not None and call(handle, ctypes.c_int(1), ctypes.byref(field)) == 0 and field.rc == 0:
        warm = field.value.u or None
    reasons = ctypes.c_ulonglong()
    call = getattr(lib, "nvmlDeviceGetCurrentClocksThrottleReasons", None)
    held = None
    if call is not None and call(handle, ctypes.byref(reasons)) == 0:
        held = "0x%016X" % reasons.value
    ecc = []
    for kind in (0, 1):
        count = ctypes.c_ulonglong()
        bad = lib.nvmlDeviceGetTotalEccErrors(handle, ctypes.c_int(kind), ctypes.c_int(0), ctypes.byref(count))
        ecc.append(None if bad else count.value)
    rows = [ctypes.c_uint() for _ in range(4)]
    call = getattr(lib, "nvmlDeviceGetRemappedRows", None)
    remapped = call is not None and call(handle, *[ctypes.byref(r) for r in rows]) == 0
    now, later = ctypes.c_uint(), ctypes.c_uint()
    call = getattr(lib, "nvmlDeviceGetMigMode", None)
    mig = call is not None and call(handle, ctypes.byref(now), ctypes.byref(later)) == 0
    pstate = _number(lib, "nvmlDeviceGetPerformanceState", handle)
    energy = ctypes.c_ulonglong()
    call = getattr(lib, "nvmlDeviceGetTotalEnergyConsumption", None)
    joules = energy.value // 1000 if call is not None and call(handle, ctypes.byref(energy)) == 0 else None
    held_back = None if held is None else int(bool(int(held, 16) & 0xEC))  # caps and slowdowns; not idle, not chosen
    # Who it is, and states: the upper lines stay the same from round to round.
    who = [
        index,
        _words(lib, "nvmlDeviceGetUUID", handle),
        _words(lib, "nvmlDeviceGetName", handle),
        address,
        _words(lib, "nvmlDeviceGetSerial", handle),
        driver,
        _words(lib, "nvmlDeviceGetVbiosVersion", handle),
        None if pstate is None or pstate > 15 else "P%d" % pstate,
        ("Yes" if rows[2].value else "No") if remapped else None,
        ("Yes" if rows[3].value else "No") if remapped else None,
        ("Enabled" if now.value else "Disabled") if mig else None,
    ]
    # Numbers, in the order of NVML_COLUMNS and in the catalogue's units.
    numbers = [
        use.gpu if used else None,
        use.memory if used else None,
        memory.used if known else None,
        memory.total if known else None,
        None if power is None else power / 1000.0,
        None if cap is None else cap / 1000.0,
        _number(lib, "nvmlDeviceGetTemperature", handle, ctypes.c_int(0)),
        warm,
        _number(lib, "nvmlDeviceGetClockInfo", handle, ctypes.c_int(1)),
        _number(lib, "nvmlDeviceGetMaxClockInfo", handle, ctypes.c_int(1)),
        _number(lib, "nvmlDeviceGetClockInfo", handle, ctypes.c_int(2)),
        _number(lib, "nvmlDeviceGetFanSpeed", handle),
        held_back,
        ecc[0],
        ecc[1],
        rows[2].value if remapped else None,
        rows[3].value if remapped else None,
        _number(lib, "nvmlDeviceGetCurrPcieLinkGeneration", handle),
        _number(lib, "nvmlDeviceGetCurrPcieLinkWidth", handle),
        joules,
        _processes(lib, handle),
    ]
    return who, numbers


def _processes(lib, handle):
    count = ctypes.c_uint(0)
    call = getattr(lib, "nvmlDeviceGetComputeRunningProcesses_v3", None)
    call = call or getattr(lib, "nvmlDeviceGetComputeRunningProcesses", None)
    if call is None:
        return None
    rc = call(handle, ctypes.byref(count), None)
    return count.value if rc in (0, 7) else None  # 7: more than the room given, the count is set


HEAD = (
    "index, uuid, name, pci.bus_id, serial, driver_version, vbios_version, pstate, "
    "remapped_rows.pending, remapped_rows.failure, mig.mode.current"
)


def read():
    try:
        lib = _open()
    except OSError as error:
        return str(error)
    count = ctypes.c_uint()
    if lib.nvmlDeviceGetCount_v2(ctypes.byref(count)):
        return "Failed to initialize NVML: the device count cannot be read"
    if count.value == 0:
        return "No devices were found"
    driver = _fixed(lib, "nvmlSystemGetDriverVersion", 96)
    lines, numbers = [HEAD], []
    for index in range(count.value):
        who, row = _card(lib, index, driver)
        if who is None:
            lines.append(row)
        else:
            lines.append(", ".join(_say(v) for v in who))
            numbers.append(row)
    lines.append(json.dumps(numbers, separators=(",", ":")))
    return "\n".join(lines) + "\n"
