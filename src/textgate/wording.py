"""Numbers into the words of the report and the card."""

from __future__ import annotations

from textgate.evidence import Delta, Estimate

MINUS = "\u2212"
TIMES = "\u00d7"


def whole(count: int) -> str:
    """Return a count with thousands set off: 1,624."""
    return f"{min(count, 10**15):,}"


def figure(value: float, decimals: int = 3) -> str:
    """Return a figure with a real minus sign; one too large to read is rounded to three digits."""
    text = f"{value:.{decimals}f}" if abs(value) < 1e6 else f"{value:.3g}"
    return text.replace("-", MINUS) if float(text) else text.removeprefix("-")


def signed(value: float) -> str:
    """Return a change with its sign: +0.012, and 0.000 without one."""
    text = figure(value)
    return text if text.startswith(MINUS) or not float(text) else f"+{text}"


def with_interval(estimate: Estimate) -> str:
    """Return a figure and its interval: 0.861 (0.820 to 0.902)."""
    return f"{figure(estimate.value)} ({figure(estimate.low)} to {figure(estimate.high)})"


def excludes_0(delta: Delta) -> bool:
    """Say whether a change lies wholly on one side of 0."""
    return delta.delta.low > 0 or delta.delta.high < 0


def change(estimate: Estimate) -> str:
    """Return a change and its interval: +0.041 (+0.013, +0.070)."""
    return f"{signed(estimate.value)} ({signed(estimate.low)}, {signed(estimate.high)})"


def ratio(estimate: Estimate) -> str:
    """Return a ratio and its interval, with a times sign: 1.04 (0.98, 1.11)."""
    return f"{TIMES}{figure(estimate.value, 2)} ({figure(estimate.low, 2)}, {figure(estimate.high, 2)})"


def milliseconds(value: float) -> str:
    """Return a latency: 21 ms, 0.8 ms."""
    return f"{figure(value, 0 if value >= 10 else 1)} ms"


def duration(seconds: float) -> str:
    """Return a time: 4.2 s, 2 min 11 s, 1 h 02 min."""
    if seconds < 60:
        return f"{figure(seconds, 1)} s"
    minutes, rest = divmod(round(min(seconds, 1e9)), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def listing(names: list[str], most: int) -> str:
    """Return names with commas; beyond `most` they are counted: da, nb and 312 more."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {whole(len(names) - most)} more"
