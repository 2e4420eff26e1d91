"""A page that a person can read: one HTML file, its plots drawn in it, nothing loaded from anywhere."""

import json
from html import escape

from model_server.training.evaluate import Findings

_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse}td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}.pass{color:#18794e}.warn{color:#946200}.fail{color:#c62a2f}
figure{display:inline-block;margin:0 2rem 1rem 0}pre{background:#f6f6f6;padding:1rem;overflow:auto}"""
_SIZE, _PAD = 280, 30
_COLOURS = {"stable": "#3e63dd", "candidate": "#e5484d"}


def html(found: Findings) -> str:
    """Return the report."""
    numbers = found.numbers
    reasons = "".join(f'<li class="{level}">{level}: {escape(reason)}</li>' for level, reason in found.reasons)
    rows = [
        ("log loss", numbers["log_loss"]),
        ("AUC", numbers["auc"]),
        ("error at 0.5", numbers["error"]),
        *((f"log loss, slice {escape(name)}", values) for name, values in numbers["slices"].items()),
    ]
    cells = "".join(_row(name, values) for name, values in rows)
    head = "<tr><th></th><th>stable</th><th>candidate</th><th>difference</th><th>95 % interval</th></tr>"
    models = "".join(_model(name, about) for name, about in numbers["models"].items())
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Evaluation: {found.verdict}</title>
<style>{_STYLE}</style><h1 class="{found.verdict}">{found.verdict}</h1><p>{numbers["rows"]} rows held out.</p>
<table>{models}</table><ul>{reasons}</ul>
<table>{head}{cells}</table>
<figure><figcaption>Calibration: outcome over prediction</figcaption>{_calibration(found)}</figure>
<figure><figcaption>Predictions, by bins of stable's training</figcaption>{_histogram(found)}</figure>
<h2>All numbers</h2><pre>{escape(json.dumps(found.as_json(), indent=1))}</pre></html>
"""


def _model(name: str, about: dict[str, str]) -> str:
    text = " ".join(escape(str(about[key])) for key in ("name", "version"))
    return f"<tr><td>{name}</td><td>{text}</td><td>{escape(about['sha256'][:16])}</td></tr>"


def _row(name: str, values: dict[str, object]) -> str:
    difference = values.get("difference")
    shown = [f"{values[key]:.4f}" if key in values else "" for key in ("stable", "candidate")]
    if isinstance(difference, dict):
        shown += [f"{difference['value']:+.4f}", f"{difference['low']:+.4f} to {difference['high']:+.4f}"]
    return f"<tr><td>{name}</td>{''.join(f'<td>{text}</td>' for text in shown)}</tr>"


def _plot(inner: str) -> str:
    size = _SIZE + 2 * _PAD
    frame = f'<rect x="{_PAD}" y="{_PAD}" width="{_SIZE}" height="{_SIZE}" fill="none" stroke="#999"/>'
    return f'<svg width="{size}" height="{size}" role="img">{frame}{inner}</svg>'


def _at(x: float, y: float) -> str:
    return f"{_PAD + x * _SIZE:.1f},{_PAD + (1 - y) * _SIZE:.1f}"


def _calibration(found: Findings) -> str:
    parts = [f'<polyline points="{_at(0, 0)} {_at(1, 1)}" stroke="#bbb" fill="none" stroke-dasharray="4"/>']
    for name, points in found.points.items():
        line = " ".join(_at(p, y) for p, y, _ in points)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{_COLOURS[name]}"><title>{name}</title></polyline>'
        )
        for p, y, rows in points:
            x, at = _at(p, y).split(",")
            title = f"<title>{name}: {p:.3f} predicted, {y:.3f} came, {rows} rows</title>"
            parts.append(f'<circle cx="{x}" cy="{at}" r="3" fill="{_COLOURS[name]}">{title}</circle>')
    return _plot("".join(parts))


def _histogram(found: Findings) -> str:
    top = max((max(shares) for shares in found.histogram.values()), default=0) or 1
    parts = []
    for side, (name, shares) in enumerate(found.histogram.items()):
        width = _SIZE / len(shares) / 2
        for number, share in enumerate(shares):
            height = share / top * _SIZE
            x, y = _PAD + (2 * number + side) * width, _PAD + _SIZE - height
            box = f'x="{x:.1f}" y="{y:.1f}" width="{width * 0.9:.1f}" height="{height:.1f}"'
            parts.append(f'<rect {box} fill="{_COLOURS[name]}"><title>{name}: {share:.3f}</title></rect>')
    return _plot("".join(parts))
