"""How cost grows with entries, layers, bytes, clients and cores, each a table of rows."""

import os
import statistics
import threading
import time

from lib import engines, machine

STEPS = {  # as far as usual, and in full
    "entries": ([1_000, 10_000, 100_000], [1_000_000]),
    "layers": ([1, 10, 100], []),
    "bytes": ([10, 100, 500], [1000, 2000]),
    "clients": ([1, 2, 4, 16], [64]),
    "cores": ([1, 2], []),
}


def measure(row, bench, cache, given):
    steps = STEPS[row][0] + (STEPS[row][1] if given.full else [])
    rows = {"clients": _clients, "cores": _cores}.get(row, _images)(row, steps, bench, cache, given.growth_rounds)
    return [each for each in rows if each]


def _images(row, steps, bench, cache, rounds):
    """One image a step; beside bsdtar, which costs least of those that do much of the job."""
    service = engines.Service(os.path.join(bench.work, "growth"))
    contenders = [engines.Daemon("pve-oci", bench.work, service, by_command=False)]
    contenders += [peer for peer in engines.peers(bench.work) if peer.name == "bsdtar"]
    try:
        for step in steps:
            image = getattr(cache, f"with_{row}")(step)
            samples = {engine.name: [] for engine in contenders}
            for _ in range(rounds):
                for engine in contenders:
                    samples[engine.name].append(bench.once(engine, image))
            bench.remove_kept()
            found = {name: _summary(results) for name, results in samples.items()}
            bench.say(f"{row} {step}: " + ", ".join(f"{name} {each['wall']:.3f}" for name, each in found.items()))
            yield {"step": step, "entries": image.entries, "bytes": image.size, "engines": found}
    finally:
        service.close()


def _summary(results):
    return {"wall": statistics.median(result.wall for result in results),
            "cpu": statistics.median(result.cpu for result in results),
            "rss": max(result.rss for result in results),
            "foreign": statistics.median(result.foreign for result in results)}


def _clients(_row, steps, bench, cache, rounds):
    """So many clients at once, each with an image of 10 MB; beside programs that do it all, started as often."""
    image = cache.with_bytes(10)
    service = engines.Service(os.path.join(bench.work, "clients"))
    service.start()
    contenders = [engines.Daemon("pve-oci", bench.work, service, by_command=False)]
    contenders += [peer for peer in engines.peers(bench.work) if peer.does_all]
    try:
        for step in steps:
            samples = {engine.name: [] for engine in contenders}
            for _ in range(rounds):
                for engine in contenders:
                    service.wait_until_idle()
                    samples[engine.name].append(_at_once(step, bench, service, engine, image))
            service.wait_until_idle()
            found = {name: _summary(results) for name, results in samples.items()}
            bench.say(f"clients {step}: " + ", ".join(f"{name} {each['wall']:.3f}" for name, each in found.items()))
            yield {"step": step, "entries": image.entries * step, "bytes": image.size * step, "engines": found}
    finally:
        service.close()


def _at_once(count, bench, service, engine, image):
    """All of them from the first start to the last end; memory is that of the daemon's largest worker."""
    failures, targets = [], []

    def ask(target):
        try:
            engine.extract(image, target)
        except (engines.Failed, OSError) as failure:
            failures.append(failure)

    for _ in range(count):
        targets.append(bench.new_tree())
        engine.target(targets[-1])
    threads = [threading.Thread(target=ask, args=(target,)) for target in targets]
    peak = engines.Peak(service.process.pid, follows_new=True)
    peak.start()
    with machine.Foreign() as used:
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wall = time.monotonic() - start
    rss = peak.stop()
    for target in targets:
        bench.remove(target)
    if failures:
        raise failures[0]
    # whose processor time it was cannot be told apart here: the next spare starts while others still work
    return engines.Result(wall, used.busy, rss, 0.0)


def _cores(_row, steps, bench, cache, rounds):
    """The daemon, its workers and the client held to so many cores, for the images debian, multi and multi-zstd."""
    for image in (cache.debian(), cache.multi(), cache.multi_zstd()):
        for step in steps:
            cores = ",".join(str(core) for core in sorted(os.sched_getaffinity(0))[:step])
            if step > len(os.sched_getaffinity(0)):
                continue
            service = engines.Service(os.path.join(bench.work, "cores"), prefix=["taskset", "-c", cores])
            engine = engines.Daemon("pve-oci", bench.work, service, by_command=False)
            try:
                results = [bench.once(engine, image) for _ in range(rounds)]
            finally:
                service.close()
            found = {"pve-oci": _summary(results)}
            bench.say(f"{image.name} on {step} cores: {found['pve-oci']['wall']:.3f}")
            yield {"step": step, "image": image.name, "entries": image.entries, "bytes": image.size, "engines": found}
