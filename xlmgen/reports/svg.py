"""Charts and orders as SVG for a page, whose style sheet colours them.

Elements are built with `xml.etree`, which escapes every text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from xml.etree.ElementTree import Element, SubElement, tostring

from xlmgen.reports.chart import DASHES, PALETTE, Chart, Line, log_ticks, ticks
from xlmgen.reports.orders import Order
from xlmgen.terminal.escape import terminal

WIDTH, HEIGHT = 560, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 14, 12, 46
CELL, ROW, AXIS = 26, 14, 44
"""Least width and height of a cell of an order, and width of its axis."""
LETTER, PADDING = 7, 8
"""Width of a letter of the text under a cell, and space between two texts."""
MOST_ROWS = 24
"""Rows of an order; steps share a row where there are more."""
LONGEST_TEXT = 8
"""Characters of a token that are shown under its column."""

Scale = Callable[[float], float]


def chart_svg(chart: Chart) -> str:
    """A chart without its legend."""
    drawing = _drawing(WIDTH, HEIGHT, chart.title)
    at_x, at_y = _axes(drawing, chart)
    for line in chart.lines:
        _draw_line(drawing, chart, line, at_x, at_y)
    return tostring(drawing, encoding="unicode")


def swatch_svg(line: Line) -> str:
    """The stroke of a line, for the legend."""
    drawing = Element("svg", {"viewBox": "0 0 32 10", "class": "swatch"})
    _stroke(drawing, line, "M1 5H31")
    return tostring(drawing, encoding="unicode")


def order_svg(order: Order) -> str:
    """Positions from left to right, steps downwards, a square where a token is written.

    Squares are darker the later they were written.
    """
    steps = sorted({step for _, step in order.tokens})
    shared = math.ceil(len(steps) / MOST_ROWS)
    rows = [steps[n : n + shared] for n in range(0, len(steps), shared or 1)]
    at = {step: number for number, some in enumerate(rows) for step in some}
    texts = [_shortened(text) for text, _ in order.tokens]
    cell = max(CELL, LETTER * max(map(len, texts), default=0) + PADDING)
    height = ROW * len(rows)
    width = AXIS + cell * len(order.tokens) + 4
    drawing = _drawing(width, height + 24, f"order of {order.name}")
    drawing.set("width", f"{width}")
    for number, some in enumerate(rows):
        label = str(some[0]) if len(some) == 1 else f"{some[0]}–{some[-1]}"
        y = ROW * number
        _text(drawing, AXIS - 6, y + ROW - 3, label, "end")
        _line(drawing, AXIS, y + ROW, width - 4, y + ROW, "grid")
    for column, (text, step) in enumerate(order.tokens):
        x, row = AXIS + cell * column, at[step]
        square = {"x": f"{x + 2}", "y": f"{ROW * row + 1}", "class": "written"}
        square |= {"width": f"{cell - 4}", "height": f"{ROW - 2}"}
        share = row / max(1, len(rows) - 1)
        square["fill-opacity"] = f"{0.35 + 0.65 * share:.2f}"
        title = SubElement(SubElement(drawing, "rect", square), "title")
        title.text = terminal(f"{text}: step {step}")
        _text(drawing, x + cell / 2, height + 16, texts[column], "middle")
    return tostring(drawing, encoding="unicode")


def _shortened(text: str) -> str:
    shown = text.replace(" ", "␣").replace("\n", "⏎")
    return shown if len(shown) <= LONGEST_TEXT else f"{shown[: LONGEST_TEXT - 1]}…"


def _drawing(width: float, height: float, title: str) -> Element:
    attributes = {"viewBox": f"0 0 {width:g} {height:g}", "role": "img"}
    drawing = Element("svg", attributes)
    SubElement(drawing, "title").text = terminal(title)
    return drawing


def _axes(drawing: Element, chart: Chart) -> tuple[Scale, Scale]:
    """Draw the axes, and return the scales of both coordinates."""
    scale = 100.0 if chart.is_share else 1.0
    low, high = chart.y_range
    y_ticks = ticks(scale * low, scale * high)
    x_ticks = log_ticks(*chart.x_range) if chart.is_log else ticks(*chart.x_range)
    place = math.log2 if chart.is_log else float
    left, right = place(x_ticks[0]), place(x_ticks[-1])
    bottom, top = y_ticks[0], y_ticks[-1]

    def at_x(x: float) -> float:
        share = (place(x) - left) / (right - left)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def at_y(y: float) -> float:
        share = max(0.0, (scale * y - bottom) / (top - bottom))  # a band below 0 %
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    for y in y_ticks:
        _line(drawing, LEFT, at_y(y / scale), WIDTH - RIGHT, at_y(y / scale), "grid")
        _text(drawing, LEFT - 6, at_y(y / scale) + 4, f"{y:g}", "end")
    for x in x_ticks:
        _line(drawing, at_x(x), HEIGHT - BOTTOM, at_x(x), HEIGHT - BOTTOM + 4, "axis")
        _text(drawing, at_x(x), HEIGHT - BOTTOM + 17, f"{x:g}", "middle")
    _line(drawing, LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis")
    _text(drawing, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, chart.x_label, "middle")
    middle = (TOP + HEIGHT - BOTTOM) / 2
    label = _text(drawing, 14, middle, chart.y_label, "middle")
    label.set("transform", f"rotate(-90 14 {middle:g})")
    return at_x, at_y


def _draw_line(
    drawing: Element, chart: Chart, line: Line, at_x: Scale, at_y: Scale
) -> None:
    """Draw a line, its band or error bars, and thin lines of the seeds."""
    points = [(at_x(p.x), at_y(p.y)) for p in line.points]
    ends = [
        (at_x(p.x), at_y(p.y - p.error), at_y(p.y + p.error))
        for p in line.points
        if not math.isnan(p.error)
    ]
    if chart.has_markers:
        for x, low, high in ends:
            _shape(drawing, line, "path", "line", d=f"M{x:.1f} {low:.1f}V{high:.1f}")
    elif len(ends) > 1:
        edge = [(x, high) for x, _, high in ends]
        edge += [(x, low) for x, low, _ in reversed(ends)]
        _shape(drawing, line, "path", "band", d=f"{_path(edge)}Z")
    for seed in line.seeds if len(line.seeds) > 1 else ():
        if seed:
            path = _path((at_x(x), at_y(y)) for x, y in seed)
            _shape(drawing, line, "path", "line seed", d=path)
    if chart.has_markers or len(points) == 1:
        for x, y in points:
            _shape(
                drawing, line, "circle", "point", cx=f"{x:.1f}", cy=f"{y:.1f}", r="3.5"
            )
    if points:
        _stroke(drawing, line, _path(points))


def _shape(
    drawing: Element, line: Line, tag: str, style: str, **attributes: str
) -> Element:
    """A shape in the colour of a line."""
    colour = f"--c: var(--s{line.style % len(PALETTE)})"
    return SubElement(drawing, tag, {**attributes, "class": style, "style": colour})


def _stroke(drawing: Element, line: Line, path: str) -> None:
    dash = " ".join(map(str, DASHES[line.style % len(DASHES)])) or "none"
    _shape(drawing, line, "path", "line", d=path).set("stroke-dasharray", dash)


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _line(
    drawing: Element, x1: float, y1: float, x2: float, y2: float, style: str
) -> None:
    ends = {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    shown = {key: f"{value:.1f}" for key, value in ends.items()}
    SubElement(drawing, "line", {**shown, "class": style})


def _text(drawing: Element, x: float, y: float, text: str, anchor: str) -> Element:
    place = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor}
    element = SubElement(drawing, "text", place)
    element.text = terminal(text)
    return element
