"""Draw the ways of some scripted conversations through the desk.

python draw.py build/desk ../../docs       # writes desk-answered.svg and its kin; --png: PNG too
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import dspy
from server import fill
from talk import Office, read_conversations

from compilm.graphs import Graph
from compilm.runtime.embedded import embedded_lm
from compilm.views.graphs import graph_drawing
from compilm.views.png import png_of

# One conversation for each way through the graph; of several turns the last is drawn.
WAYS = {
    "answered": "t01",
    "guide": "t36",
    "asked": "t43",
    "person": "t49",
    "unavailable": "t51",
    "no-passages": "t60",
    "refused": "t63",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--png", action="store_true", help="PNG too: extra png")
    given = parser.parse_args()
    script = {each["id"]: each for each in read_conversations()}
    with TemporaryDirectory() as folder, dspy.context(lm=embedded_lm("embedded/base")):
        database = Path(folder) / "claims.sqlite"
        fill(str(database))
        with Office(database, given.artifact) as office:
            for name, conversation in WAYS.items():
                each = script[conversation]
                graph: Graph = office.desk_for(each).program
                inputs = {"message": "\n".join(each["turns"]), "asked": len(each["turns"]) > 1}
                with office.under(each.get("when", "")):
                    way = graph.way(graph.stream(**inputs))
                drawing = graph_drawing(graph.outline(), way, title=f"The claims desk: {name}")
                (given.folder / f"desk-{name}.svg").write_text(drawing, "utf-8")
                if given.png:
                    (given.folder / f"desk-{name}.png").write_bytes(png_of(drawing))


if __name__ == "__main__":
    main()
