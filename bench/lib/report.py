"""Writes what was measured: JSON with everything, a Markdown table, a plot."""

import json
import os
import subprocess

from lib import model, plot

MIB = 1 << 20


def commit(folder):
    done = subprocess.run(["git", "-C", folder, "describe", "--always", "--dirty"],
                          capture_output=True, text=True, check=False)
    return done.stdout.strip() or "?"


def write_json(folder, name, result):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")


def write(folder, name, result):
    """Writes all three files; returns the table."""
    write_json(folder, name, result)
    text = markdown(result)
    with open(os.path.join(folder, name + ".md"), "w", encoding="utf-8") as file:
        file.write(text)
    if result["images"]:
        with open(os.path.join(folder, name + ".svg"), "w", encoding="utf-8") as file:
            file.write(plot.svg(result))
    return text


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def seconds(value):
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def size(value):
    if value >= 1e9:
        return f"{value / 1e9:.2f} GB"
    return f"{value / 1e6:.1f} MB" if value < 1e7 else f"{value / 1e6:.0f} MB"


def describe(image):
    layers = "layer" if image["layers"] == 1 else "layers"
    return (f"{image['name']} ({image['layers']} {layers}, {image['entries']:,} entries, {size(image['bytes'])},"
            f" {image['compression']})")


def names(result):
    found = []
    for image in result["images"]:
        found += [name for name in image["engines"] if name not in found]
    return found


def main_engine(image):
    """The one that ratios are taken to: a warm daemon asked by the command."""
    return next(iter(image["engines"].values()))


def markdown(result):
    parts = [f"Measured on {result['date']} at commit {result['commit']}: {result['machine']}; {result['directory']},"
             f" warm caches; median of {result['rounds']} interleaved rounds,"
             f" of {result['growth_rounds']} for growth.\n"]
    if result["images"]:
        parts += [_times(result), _limits(result), _costs(result), _trees(result), _cores_model(result)]
    parts += [_growth(row, rows) for row, rows in result["growth"].items() if rows]
    return "\n".join(parts)


def _times(result):
    rows = []
    for image in result["images"]:
        base = main_engine(image)["wall"]
        row = [describe(image)]
        for name in names(result):
            engine = image["engines"].get(name)
            row.append("-" if not engine else seconds(engine["wall"]) if engine["wall"] == base
                       else f"{seconds(engine['wall'])} ({engine['wall'] / base:.2f})")
        rows.append(row)
    return ("## Wall seconds (ratio to the first column)\n\n" + table(["image", *names(result)], rows))


def _limits(result):
    rows = []
    for image in result["images"]:
        ours = {name: engine["wall"] for name, engine in image["engines"].items() if name.startswith("pve-oci")}
        rows.append([image["name"], *(seconds(part["wall"]) for part in image["parts"].values()),
                     seconds(image["limit"]), *(f"{wall / image['limit']:.2f}" for wall in ours.values()),
                     f"{main_engine(image)['cpu'] / image['limit_cpu']:.2f}"])
    first = result["images"][0]
    head = ["image", "inflate", "sha256 of blobs", "sha256 of content", "creation", f"limit on {result['cores']} cores"]
    head += [f"{name} / limit" for name in first["engines"] if name.startswith("pve-oci")]
    head.append("user + sys of pve-oci / of the parts")
    return "## The limit: the parts by the fastest programs, their sum by cores (s)\n\n" + table(head, rows)


def _costs(result):
    rows = []
    for image in result["images"]:
        for name, engine in image["engines"].items():
            rows.append([image["name"], name, seconds(engine["wall"]),
                         f"{seconds(engine['min'])}-{seconds(engine['max'])}", seconds(engine["cpu"]),
                         f"{engine['rss'] / MIB:.0f}", f"{engine['foreign']:.2f}"])
    head = ["image", "engine", "wall s", "min-max", "user + sys s", "peak RSS MiB", "cores used by others"]
    return "## Spread, processor time, memory\n\n" + table(head, rows)


def _trees(result):
    rows = []
    for image in result["images"]:
        for name, difference in image["differs"].items():
            if difference:
                text = difference if len(difference) < 300 else difference[:300] + " ..."
                rows.append([image["name"], name, "`" + text.replace("|", "\\|").replace("`", "'") + "`"])
    text = ("## Trees\n\nEvery engine's tree was compared entry by entry with umoci's before anything was timed"
            " (multi-zstd: with umoci's of multi).")
    return text + (" Others than these are equal.\n\n" + table(["image", "engine", "first difference"], rows)
                   if rows else " All are equal.\n")


def _cores_model(result):
    rows = []
    for image in result["images"]:
        ours, parts = main_engine(image), {name: part["cpu"] for name, part in image["parts"].items()}
        read, hashing = parts["inflate"], parts["hash_blobs"] + parts["hash_content"]
        apply = max(parts["create"], ours["cpu"] - read - hashing)
        stages = (read, hashing, apply, image["layers"], image["bytes"])
        rows.append([image["name"], seconds(read), seconds(hashing), seconds(apply),
                     *(seconds(model.wall(*stages, cores, model.readers(cores))) for cores in (1, 2, 4, 8, 16)),
                     *(seconds(model.wall(*stages, cores, 1)) for cores in (4, 16)),
                     *(seconds(model.wall(*stages, cores, model.readers(cores), 4)) for cores in (4, 8, 16))])
    head = ["image", "read", "hash", "apply", *(f"{cores} cores" for cores in (1, 2, 4, 8, 16)),
            *(f"{cores}, one reader" for cores in (4, 16)),
            *(f"{cores}, 4 writers" for cores in (4, 8, 16))]
    return ("## More cores, simulated from the stages' processor seconds (s)\n\n" + table(head, rows))


def _growth(row, rows):
    head = [row] if row == "entries" else [row, "entries"]
    clients = row == "clients"
    head += ["content", "pve-oci s", "user + sys s", "peak RSS MiB", "jobs / s" if clients else "us / entry", "MB/s"]
    head += [] if clients else ["cores used by others"]
    others = [name for name in rows[0]["engines"] if name != "pve-oci"]
    lines = []
    for each in rows:
        ours = each["engines"]["pve-oci"]
        step = f"{each['step']:,}" + (" MiB" if row == "bytes" else "")
        line = [f"{each['image']}, {step}" if "image" in each else step]
        if row != "entries":
            line.append(f"{each['entries']:,}")
        lines.append([*line, size(each["bytes"]), seconds(ours["wall"]), seconds(ours["cpu"]),
                      f"{ours['rss'] / MIB:.0f}",
                      (f"{each['step'] / ours['wall']:.1f}" if clients
                       else f"{ours['wall'] / each['entries'] * 1e6:.1f}"),
                      f"{each['bytes'] / ours['wall'] / 1e6:.0f}",
                      *([] if clients else [f"{ours['foreign']:.2f}"]),
                      *(seconds(each["engines"][name]["wall"]) for name in others)])
    return f"## Growth: {row}\n\n" + table(head + [f"{name} s" for name in others], lines)
