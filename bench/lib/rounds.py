"""Runs engines in turn, A B A B, on one image, each time into a new directory; keeps what every run cost."""

import os
import shutil
import statistics

from lib import engines, limit, machine, tree


class Samples:
    """What the runs of one engine on one image cost."""

    def __init__(self):
        self.results = []

    def add(self, result):
        self.results.append(result)

    def _values(self, name):
        return [getattr(result, name) for result in self.results]

    def median(self, name="wall"):
        return statistics.median(self._values(name))

    def summary(self):
        walls = self._values("wall")
        return {"wall": self.median(), "min": min(walls), "max": max(walls), "cpu": self.median("cpu"),
                "rss": max(self._values("rss")), "foreign": self.median("foreign"), "walls": walls}


class Bench:
    """Where trees are made, how often, and how quiet the machine has to be."""

    def __init__(self, work, options, say):
        self.work, self.options, self.say = work, options, say
        self.trees = os.path.join(work, "trees")
        self.number = 0
        self.kept = []

    def new_tree(self):
        self.number += 1
        os.makedirs(self.trees, exist_ok=True)
        return os.path.join(self.trees, str(self.number))

    def remove(self, path):
        """On a disk trees are kept until the image is done: just after a removal ext4 makes files far more slowly."""
        self.kept.append(path)
        if not self.options.disk:
            self.remove_kept()

    def remove_kept(self):
        for path in self.kept:
            shutil.rmtree(path)
        self.kept = []

    def once(self, engine, image):
        """One run, repeated while others used too much of the machine."""
        for attempt in range(self.options.retries + 1):
            if self.options.quiet:
                machine.wait_until_quiet(self.options.quiet, self.options.patience)
            engine.prepare()
            target = self.new_tree()
            engine.target(target)
            try:
                result = engine.run(image, target)
            finally:
                self.remove(target)
                engine.settle()
            if not self.options.quiet or result.foreign <= self.options.quiet or attempt == self.options.retries:
                return result
        raise AssertionError("unreachable")

    def listing(self, engine, image, keep=None):
        """What the engine makes of the image; keep is called with the tree."""
        engine.prepare()
        target = self.new_tree()
        engine.target(target)
        try:
            engine.run(image, target)
        except engines.Failed:
            self.remove(target)
            raise
        mapped = engine.maps_ids or engine.in_namespace
        lines = tree.lines(target, engines.OFFSET if mapped else 0)
        if keep:
            keep(target)
        self.remove(target)
        engine.settle()
        return lines

    def verify(self, image, own, others, reference):
        """
        Compares trees before anything is timed. Returns which engine's equals the reference; ours have to. The
        reference is umoci's, or what it made of the same layers in another compression.
        """
        equal, flat = {}, os.path.join(self.work, "flat.tar")
        for engine in others:
            if not engine.knows(image):
                continue
            try:
                lines = self.listing(engine, image)
            except engines.Failed as failure:
                equal[engine.name] = f"fails: {failure}"
                continue
            if reference is None:
                reference = lines
            equal[engine.name] = tree.difference(reference, lines)
        if reference is None:
            raise engines.Failed(f"{image.name}: nothing to compare with")
        for engine in own:
            keep = (lambda path: limit.write_flat(path, flat)) if engine is own[0] else None
            equal[engine.name] = tree.difference(reference, self.listing(engine, image, keep))
            if equal[engine.name]:
                raise engines.Failed(f"{image.name}: {engine.name} extracts something else: {equal[engine.name]}")
        return equal, reference, flat

    def measure(self, image, contenders, flat):
        """All rounds; returns samples by engine, and the parts of the limit."""
        samples = {engine.name: Samples() for engine in contenders}
        parts = []
        for path in image.files() + image.tars:
            with open(path, "rb") as file:  # into the page cache
                while file.read(1 << 20):
                    pass
        for number in range(self.options.rounds):
            for engine in contenders:
                samples[engine.name].add(self.once(engine, image))
            if flat:
                target = self.new_tree()
                os.mkdir(target)
                parts.append(limit.Limit(self.work, image, flat).parts(target))
                self.remove(target)
            self.say(f"{image.name}: round {number + 1} of {self.options.rounds}: " + ", ".join(
                f"{name} {each.results[-1].wall:.3f}" for name, each in samples.items()))
        self.remove_kept()
        return samples, parts
