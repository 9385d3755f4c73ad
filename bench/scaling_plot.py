"""Plots the results of `scaling.py`: one panel per size with the measured points and the expected speed as a thin line.

    python scaling_plot.py CURVES.json PICTURE.svg

Runs in the environment with matplotlib. The background is white, so that the plot is readable on a dark page too.
"""

import json
import pathlib
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "rondo"  # The same points give the same file.
matplotlib.rcParams["font.size"] = 9

from matplotlib import pyplot  # noqa: E402
from matplotlib.ticker import FuncFormatter, NullLocator  # noqa: E402

COLORS = {"training": "#0b6e99", "evaluation": "#c2571a"}
MARKERS = {"training": "o", "evaluation": "s"}
COLUMNS = 3


def main(curves_path, picture_path):
    panels = json.loads(pathlib.Path(curves_path).read_text("utf-8"))
    rows = -(-(len(panels) + 1) // COLUMNS)  # The legend takes the place after the last panel.
    figure, places = pyplot.subplots(rows, COLUMNS, figsize=(9.6, 2.9 * rows), facecolor="white", squeeze=False)
    places = list(places.flat)
    for place, panel in zip(places, panels):
        draw_panel(place, panel)
    for place in places[len(panels) :]:
        place.axis("off")
    handles, labels = places[0].get_legend_handles_labels()
    places[len(panels)].legend(handles, labels, loc="center left", frameon=False, title="tokens/s", alignment="left")
    figure.tight_layout()
    figure.savefig(picture_path, metadata={"Date": None})


def draw_panel(place, panel):
    """One size: measured tokens/s, the expected speed as a thin line, and a vertical line at W1's value."""
    place.set_facecolor("white")
    place.set_xscale("log")
    place.set_yscale("log")
    place.axvline(panel["usual"], color="#bbbbbb", linewidth=0.8, label="W1")
    for curve in panel["curves"]:
        name = curve["name"]
        color = COLORS[name]
        if curve["law"]:
            place.plot(*zip(*curve["law"]), color=color, linewidth=0.8, linestyle="--", label=name + ", expected")
        if curve["points"]:
            place.plot(
                *zip(*curve["points"]), color=color, linewidth=1.6, marker=MARKERS[name], markersize=4, label=name
            )
    values = [point[0] for point in panel["curves"][0]["points"]]
    place.set_xticks(spaced(values), [plain(value) for value in spaced(values)])
    place.xaxis.set_minor_locator(NullLocator())
    place.yaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
    place.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: plain(value) if leads_with(value, "25") else ""))
    place.grid(True, color="#e6e6e6", linewidth=0.6)
    place.set_axisbelow(True)
    place.set_title(panel["title"], loc="left", fontsize=9)
    place.spines[["top", "right"]].set_visible(False)


def spaced(values):
    """Selects from ascending `values` those at least about twice the previous one, so that labels do not overlap."""
    kept = []
    for value in values:
        if not kept or value >= 1.95 * kept[-1]:
            kept.append(value)
    return kept


def plain(value):
    """A number formatted for an axis: 200, 33k, 1.2M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return "%.3g%s" % (value / size, letter)
    return "%.3g" % value


def leads_with(value, digits):
    """Whether the first digit of a number is one of `digits`."""
    return ("%e" % value)[0] in digits


if __name__ == "__main__":
    main(*sys.argv[1:])
