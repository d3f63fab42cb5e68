"""The plot: for each image one bar an engine, its wall time as a multiple of the limit."""

from html import escape

WIDTH, LABEL, BAR, GAP, LONGEST = 860, 190, 15, 26, 500
COLOURS = {"own": "#2a6fb0", "other": "#b9b9b9"}


def svg(result):
    """A file of its own, without anything from elsewhere."""
    body, y = [], 52
    for image in result["images"]:
        walls = {name: engine["wall"] for name, engine in image["engines"].items()}
        longest = max(*walls.values(), image["limit"])
        body.append(_text(8, y, f"{image['name']}: {image['entries']:,} entries, {image['bytes'] / 1e6:.0f} MB,"
                                f" {image['compression']}", weight="bold"))
        y += 8
        top = y
        for name, wall in sorted(walls.items(), key=lambda pair: pair[1]):
            length = max(1.0, wall / longest * LONGEST)
            colour = COLOURS["own" if name.startswith("pve-oci") else "other"]
            body.append(_text(LABEL - 8, y + BAR - 4, name, anchor="end"))
            body.append(f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="{BAR - 3}" fill="{colour}"/>')
            body.append(_text(LABEL + length + 6, y + BAR - 4,
                              f"{wall:.3g} s, {wall / image['limit']:.1f} times the limit"))
            y += BAR
        x = LABEL + image["limit"] / longest * LONGEST
        body.append(f'<line x1="{x:.1f}" y1="{top - 3}" x2="{x:.1f}" y2="{y}" stroke="#c0392b"'
                    ' stroke-dasharray="4 2"/>')
        y += GAP
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{y}" fill="white"/>',
        _text(8, 18, "Extracting an image, wall time (dashed: the limit, see bench/README.md)", size=14),
        _text(8, 33, f"{result['machine']}; {result['directory']}; {result['date']}, {result['commit']}"),
    ]
    return "\n".join(head + body + ["</svg>"]) + "\n"


def _text(x, y, text, anchor="start", weight="normal", size=11):
    return (f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size}">'
            f"{escape(text)}</text>")
