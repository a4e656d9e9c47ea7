"""Outcomes to docs/benchmarks.md: every number, and every loss, comes from the files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.peers.peer import Peer
from benchmarks.peers.settings import JOBS, OURS, PLAIN, PLANS, Settings
from benchmarks.peers.store import Found
from benchmarks.table.markdown import number, table

QUALITY = {"psnr_db": ("PSNR, dB", 2), "ssim": ("SSIM", 3), "frechet": ("Frechet distance", 4)}
SECONDS = {"quantize_s": ("seconds to quantize", 1), "sample_s": ("seconds to sample", 1)}
RISING = ("psnr_db", "ssim")  # the higher the better


@dataclass(frozen=True)
class Report:
    """What a document is made from."""

    settings: Settings
    peers: Sequence[Peer]
    found: Sequence[Found]

    def value(self, peer: str, job: str, key: str) -> float | None:
        """A number of an outcome, if it is there."""
        return next((f.values.get(key) for f in self.found if (f.peer, f.job) == (peer, job)), None)

    def time_ratios(self, peer: str) -> list[float]:
        """Seconds of collecting over seconds of the plain sampling before it, of every pair."""
        pairs = [f.values for f in self.found if (f.peer, f.job) == (peer, "time") and not f.error]
        return [c / p for v in pairs for p, c in zip(v["plain_s"], v["collect_s"], strict=True)]

    def memory_ratio(self, peer: str) -> float | None:
        """Peak memory of collecting over that of plain sampling, each in a fresh process."""
        plain = self.value(peer, "memory-plain", "peak_mb")
        peak = self.value(peer, "memory", "peak_mb")
        return None if plain is None or peak is None else peak / plain


def render(report: Report) -> str:
    """The whole document."""
    sections = (
        _head(report),
        _collecting(report),
        _recorded(report),
        *(_quality(report, plan) for plan in PLANS),
        _losses(report),
        _missing(report),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(report: Report) -> str:
    s = report.settings
    return f"""# Side by side with other libraries

`{command_of(s)}` writes this page; commit {_made(report, "commit")} (a + stands for changes on \
top). Python {_made(report, "python")}, torch {_made(report, "torch")}, {_made(report, "threads")} \
threads; {_processors(report)}.

Everybody gets the bundled model and the same work: collect from {s.samples} samples of {s.steps} \
DDIM steps, choose ranges, round to nearest. Nothing is learned, though several of these \
libraries, and this project, can; NNCF's default also corrects biases. Each quantizes what it \
quantizes by default, which need not be the same tensors: the settings stand below. Each runs in \
processes and an environment of its own."""


def command_of(settings: Settings) -> str:
    """What a person types for these settings."""
    usual = vars(Settings())
    told = [
        f"--{name.replace('_', '-')} {value}"
        for name, value in vars(settings).items()
        if value != usual[name]
    ]
    return " ".join(["python -m benchmarks peers", *told])


def _made(report: Report, key: str) -> str:
    return ", ".join(sorted({f.made[key] for f in report.found if key in f.made})) or "-"


def _processors(report: Report) -> str:
    """What everybody ran on; where that differs, who ran on what."""
    peers: dict[str, list[str]] = {}
    for one in report.found:
        if (processor := one.made.get("processor")) and one.peer not in peers.setdefault(
            processor, []
        ):
            peers[processor].append(one.peer)
    if len(peers) < 2:
        return next(iter(peers), "-")
    told = (f"{processor} ({', '.join(names)})" for processor, names in peers.items())
    return "; ".join(told) + ". Seconds of different processors do not compare, ratios do"


def _collecting(report: Report) -> str:
    text = (
        f"Seconds are medians of {report.settings.rounds} pairs in one process, plain sampling "
        "and collecting in turn; the ratio is the median of theirs, its extremes in brackets. "
        "MB are peaks of two fresh processes, both with the library loaded and the model set up."
    )
    head = ["library", "version", "plain s", "collecting s", "time ratio"]
    head += ["plain MB", "collecting MB", "memory ratio"]
    lines = [_collecting_line(report, p.name) for p in report.peers if not p.same_collecting]
    return f"## Collecting\n\n{text}\n\n{table(head, lines)}"


def _collecting_line(report: Report, peer: str) -> list[str]:
    ratios = report.time_ratios(peer)
    times = next((f.values for f in report.found if (f.peer, f.job) == (peer, "time")), {})
    versions = {f.made["version"] for f in report.found if f.peer == peer and "version" in f.made}
    return [
        peer,
        ", ".join(sorted(versions)) or "-",
        *(number(_middle(times.get(key)), 2) for key in ("plain_s", "collect_s")),
        f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else "-",
        number(report.value(peer, "memory-plain", "peak_mb"), 0),
        number(report.value(peer, "memory", "peak_mb"), 0),
        number(report.memory_ratio(peer), 2),
    ]


def _middle(values: Sequence[float] | None) -> float | None:
    return median(values) if values else None


def _recorded(report: Report) -> str:
    head = ["library", "per timestep", "per channel", "histogram", "what is kept", "setting"]
    lines = []
    for peer in report.peers:
        kept = peer.records
        marks = ("yes" if x else "no" for x in (kept.timestep, kept.channel, kept.histogram))
        lines.append([peer.name, *marks, kept.text, peer.setting])
    return f"## What is recorded of activations\n\n{table(head, lines)}"


def _quality(report: Report, plan: str) -> str:
    s = report.settings
    text = (
        f"{s.quality_samples} samples of {s.quality_steps} steps from the same noise, other than "
        "that of collecting. PSNR and SSIM are to the float model's samples, Frechet distances to "
        "its training data, which depend on the number of samples. Seconds to quantize begin with "
        "the float model and include collecting; all sampling is simulated, in PyTorch."
    )
    columns = {**QUALITY, **SECONDS}
    rows = [("float", OURS, PLAIN), *((_marked(peer), peer.name, plan) for peer in report.peers)]
    lines = [
        [name, *(number(report.value(peer, job, k), d) for k, (_, d) in columns.items())]
        for name, peer, job in rows
    ]
    head = ["library", *(title for title, _ in columns.values())]
    notes = [f"† {peer.name}: {peer.caveat}." for peer in report.peers if peer.caveat]
    return "\n\n".join([f"## {plan}", text, table(head, lines), *notes])


def _marked(peer: Peer) -> str:
    return f"{peer.name} †" if peer.caveat else peer.name


def _losses(report: Report) -> str:
    """Every measure in which somebody is ahead of this project, and who."""
    ratios = {p.name: r for p in report.peers if (r := _middle(report.time_ratios(p.name)))}
    memory = {p.name: r for p in report.peers if (r := report.memory_ratio(p.name)) is not None}
    lines = [_loss("time of collecting", ratios, 2), _loss("memory of collecting", memory, 2)]
    for plan in PLANS:
        for key, (title, digits) in {**QUALITY, **SECONDS}.items():
            others = [p for p in report.peers if p.name == OURS or p.package]
            values = {_marked(p): report.value(p.name, plan, key) for p in others}
            known = {name: value for name, value in values.items() if value is not None}
            lines.append(_loss(f"{plan}, {title}", known, digits, key in RISING))
    listed = [f"- {line}" for line in lines if line]
    return "## Where another library is ahead\n\n" + ("\n".join(listed) or "Nowhere.")


def _loss(title: str, values: dict[str, float], digits: int, rising: bool = False) -> str:
    if OURS not in values:
        return f"{title}: not known"
    sign = -1 if rising else 1
    order = sorted(values, key=lambda name: sign * values[name])
    ahead = [name for name in order if sign * values[name] < sign * values[OURS]]
    if not ahead:
        return ""
    said = ", ".join(f"{name} {number(values[name], digits)}" for name in ahead)
    return f"{title}: {said}; ours {number(values[OURS], digits)}"


def _missing(report: Report) -> str:
    lines = [f"- {f.peer}, {f.job}: {f.error}" for f in report.found if f.error]
    lines += [
        f"- {peer.name}: not run yet ({', '.join(jobs)})"
        for peer in report.peers
        if (jobs := list(_waiting(report, peer)))
    ]
    return "## What is not there, and why\n\n" + "\n".join(lines) if lines else ""


def _waiting(report: Report, peer: Peer) -> Iterable[str]:
    mine = [f for f in report.found if f.peer == peer.name]
    if any(f.error for f in mine if f.job not in JOBS):  # could not be installed
        return ()
    wanted = PLANS if peer.same_collecting else JOBS
    return (job for job in wanted if job not in {f.job for f in mine})
