"""Everything that a page shows, as JSON: numbers, texts and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..files import read_json
from ..progress import Progress, silent, sub_progress
from ..spacing import evenly
from .measures import MEASURES, mean_scores
from .page_images import Pair, Window, as_text, encoded, fitting, read_pair, window_of
from .page_texts import setting_rows, without_folders
from .personalisers import METHODS
from .protocols import Protocol
from .report import Column, best_methods, columns_of, units_of
from .shots import file_name, picture_file
from .unit import TRUE, UnitResult

MOST_PICTURES = 2500
"""On a page, of all sequences and methods: beyond it, a sequence's judged pictures are shown in part."""
MOST_SEEN = 3
CAPTIONS = {
    True: ("psnr_db", "ssim", "lpips_vgg", "flip", "iou"),
    False: ("l1", "iou", "ms_ssim", "lpips_alex", "psnr_db"),
}
"""Scores under a picture, by whether the protocol looks at boxes."""


class _View(NamedTuple):
    """One column of a sequence's strip."""

    label: str
    seen: bool
    albedo: bool
    files: dict[str, Path]
    """By folder: methods' and the truth's."""


class _Part(NamedTuple):
    """A sequence as it is laid out."""

    entry: dict[str, Any]
    views: list[_View]
    window: Window


def page_data(out: Path, report: Mapping[str, Any], protocol: Protocol, progress: Progress = silent) -> dict[str, Any]:
    """What `page.js` reads. Pictures and turntables come from the report's folder. Raises InputError for one that is missing."""
    methods, settings = report["methods"], report["settings"]
    units = [_without_folders(unit, settings) for unit in units_of(report)]
    names = list(dict.fromkeys(unit.sequence for unit in units))
    done = sum(len(unit.frames) + 1 for unit in units if unit.failed is None) * (1 + 1 / max(1, len(methods)))
    share = min(1.0, MOST_PICTURES / max(1, done))
    parts = []
    for number, name in enumerate(names):
        progress(0.3 * number / len(names), "reading pictures")
        parts.append(_part(out, name, [unit for unit in units if unit.sequence == name], share))
    images = _packed(parts, sub_progress(progress, 0.3, 1.0))
    for part in parts:
        for method, path in _turntables(out, part.entry["name"], list(methods)).items():
            images[key := f"{len(images)}"] = as_text(path.read_bytes())
            part.entry["turntables"][method] = {"image": key, "views": _views_of(path)}
    summaries = list(methods.values())
    shown = [column for column in columns_of(protocol, summaries) if column.score not in protocol.published]
    return {
        "columns": [*(_column(column, methods) for column in shown), _SECONDS],
        "published": _published(protocol, methods) | {"size": settings.get("size")},
        "captions": CAPTIONS[protocol.in_box],
        "methods": [
            {
                "name": name,
                "about": METHODS[name].about if name in METHODS else "",
                "making_s": summary["making_s"],
                "values": {part: summary[part] for part in ("unseen", "seen", "light")},
            }
            for name, summary in methods.items()
        ],
        "measures": {name: measure._asdict() for name, measure in MEASURES.items() if _used(name, units)},
        "sequences": [part.entry for part in parts],
        "notes": [without_folders(note, settings) for note in report["notes"]],
        "protocol": _described(protocol),
        "settings": setting_rows(settings),
        "images": images,
    }


def _without_folders(unit: UnitResult, settings: Mapping[str, Any]) -> UnitResult:
    return unit if unit.failed is None else unit._replace(failed=without_folders(unit.failed, settings))


def _published(protocol: Protocol, methods: Mapping[str, Any]) -> dict[str, Any]:
    """Our numbers beside the paper's, computed as the paper's code does: columns, and rows of ours and theirs."""
    known = {name for _, values in protocol.numbers for name, _ in values} | set(protocol.published)
    rows = [
        {"name": name, "about": about, "ours": True, "values": summary[part]}
        for name, summary in methods.items()
        for part, about in protocol.compared
    ]
    ours = {score for row in rows for score in row["values"]}
    names = [name for name in MEASURES if name in known and name in ours]
    theirs = [{"name": name, "about": "", "ours": False, "values": dict(values)} for name, values in protocol.numbers]
    columns = [_column(Column(MEASURES[name].title, "unseen", name), methods) | {"best": []} for name in names]
    return {"columns": columns, "rows": [*rows, *theirs]}


_SECONDS = {
    "title": "made in s", "about": "seconds of personalisation on the machine that made it", "score": "making_s",
    "part": "unseen", "higher": False, "best": [],
}  # fmt: skip


def _column(column: Column, methods: Mapping[str, Any]) -> dict[str, Any]:
    measure = MEASURES[column.score]
    return {
        "title": column.title,
        "about": measure.about,
        "score": column.score,
        "part": column.part,
        "higher": measure.higher,
        "best": sorted(best_methods(column, methods)),
    }


def _used(name: str, units: Sequence[UnitResult]) -> bool:
    return any(name in scores for unit in units for scores in (*unit.frames.values(), unit.light))


def _part(out: Path, name: str, units: Sequence[UnitResult], share: float) -> _Part:
    able = [unit for unit in units if unit.failed is None]
    entry: dict[str, Any] = {
        "name": name,
        "means": {unit.method: mean_scores(unit.frames.values()) | unit.light for unit in able},
        "scores": {unit.method: {**unit.seen_frames, **unit.frames} for unit in able},
        "failed": {unit.method: unit.failed for unit in units if unit.failed is not None},
        "turntables": {},
        "views": [],
        "aspect": "1",
    }
    if not able:
        return _Part(entry, [], Window(0, 0, 1, 1))
    views = _views(out / "pictures" / file_name(name), able, share)
    window = window_of([read_pair(view.files[TRUE]).picture for view in views if not view.albedo])
    return _Part(entry | {"aspect": f"{window.width} / {window.height}"}, views, window)


def _views(folder: Path, units: Sequence[UnitResult], share: float) -> list[_View]:
    """Seen pictures, the first one's albedo where it is known, and as many judged ones as the page has room for."""
    first = units[0]
    judged, seen = list(first.frames), list(first.seen_frames)
    labels = [(label, True) for label in evenly(seen, MOST_SEEN)]
    labels += [(label, False) for label in evenly(judged, max(1, round(share * len(judged))))]
    views = []
    for label, before in labels:
        file = picture_file(first.pictures[label])
        files = {who: folder / file_name(who) / file for who in (TRUE, *(unit.method for unit in units))}
        views.append(_View(label, before, False, files))
    if read_pair(views[0].files[TRUE]).albedo.any():
        views.insert(1, views[0]._replace(albedo=True))
    return views


def _packed(parts: Sequence[_Part], progress: Progress) -> dict[str, str]:
    """All pictures by key; the keys go into the views."""
    wanted = [(part, view, who) for part in parts for view in part.views for who in view.files]
    last: dict[Path, Pair] = {}

    def image(number: int) -> np.ndarray:
        part, view, who = wanted[number]
        path = view.files[who]
        if path not in last:
            last.clear()
            last[path] = read_pair(path)
        pair = last[path]
        return part.window.of(pair.albedo if view.albedo else pair.picture)

    packed = fitting(len(wanted), lambda number, quality: encoded(image(number), quality), progress=progress)
    for number, (part, view, who) in enumerate(wanted):
        known = part.entry["views"]
        if not known or (known[-1]["label"], known[-1]["albedo"]) != (view.label, view.albedo):
            known.append({"label": view.label, "seen": view.seen, "albedo": view.albedo, "images": {}})
        known[-1]["images"][who] = str(number)
    return {str(number): as_text(data) for number, data in enumerate(packed)}


def _turntables(out: Path, sequence: str, methods: Sequence[str]) -> dict[str, Path]:
    paths = {method: turntable_path(out, sequence, method) for method in methods}
    return {method: path for method, path in paths.items() if path.is_file()}


def turntable_path(out: Path, sequence: str, method: str) -> Path:
    """Where the strip of one avatar lies."""
    return out / "turntables" / file_name(sequence) / f"{file_name(method)}.webp"


def _views_of(path: Path) -> int:
    views = read_json(path.with_suffix(".json"), "note of a turntable").get("views")
    return views if isinstance(views, int) and views > 1 else 16


def _described(protocol: Protocol) -> list[list[str]]:
    background = {0.0: "black", 1.0: "white"}.get(protocol.background, str(protocol.background))
    texts = ("name", "about", "source", "training", "judged", "light", "pose", "mask", "crop")
    return [[name, str(getattr(protocol, name))] for name in texts] + [["background", background]]
