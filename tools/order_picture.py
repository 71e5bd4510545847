"""Draw the order in which a run wrote an answer, as an SVG file.

    make demo
    python tools/order_picture.py RUN "3 8 8 6 3 2 2 1 3 1" docs/images/order.svg

Positions are from left to right and steps downwards. The colours can be read on a light
and on a dark page.
"""

import argparse
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring, indent, tostring

import xlmgen
from xlmgen.io.files import write_text
from xlmgen.reports.orders import Order
from xlmgen.reports.svg import order_svg

STYLE = (
    "text { fill: #7d8590; font: 12px system-ui, sans-serif; } "
    ".grid { stroke: #7d8590; stroke-opacity: 0.35; } .written { fill: #3b7dd8; }"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="The run folder.")
    parser.add_argument("prompt", help="The prompt to answer.")
    parser.add_argument("out", type=Path, help="The file to write.")
    asked = parser.parse_args()
    write_text(asked.out, picture(asked.run, asked.prompt))


def picture(run: str, prompt: str) -> str:
    """Answer a prompt and draw the steps of the answer's tokens."""
    model = xlmgen.load(run)
    (answer,) = model.generate([prompt], trace=True)
    special = model.task.tokenizer.special
    ids = [*answer.ids, special.eos][: len(answer.steps)]
    names = [model.task.tokenizer.token(id_) for id_ in ids]
    tokens = list(zip(names, answer.steps, strict=True))
    drawing = fromstring(order_svg(Order("the answer", prompt, tokens, 0, None)))
    drawing.set("xmlns", "http://www.w3.org/2000/svg")
    style = Element("style")
    style.text = STYLE
    drawing.insert(1, style)
    indent(drawing)
    return tostring(drawing, encoding="unicode") + "\n"


if __name__ == "__main__":
    main()
