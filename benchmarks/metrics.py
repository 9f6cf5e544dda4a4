"""Speed and memory of the metrics on features, beside the public packages that are installed.

    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 python benchmarks/metrics.py
    python benchmarks/metrics.py --memory

The first prints the least processor time of several rounds in turns on 10,000 reals and 10,000
fakes of 2,048 features, and ratios to tfgen; torch-fidelity and clean-fid stand beside where they
are installed. With one thread it does not depend on what else the machine does. The second prints
the peak memory of a process that measures 25,000 reals and 25,000 fakes, 50,000 x 2,048 in float32,
which are 391 MiB themselves.
"""

import argparse
import os
import resource
import subprocess
import sys
import time

import numpy as np
from rich.console import Console

from tfgen import metrics

WIDTH = 2048


def features(count, seed):
    """Float32 `[count, 2048]` like those of a network: not negative, skewed and correlated."""
    random = np.random.default_rng(seed)  # which draws float32, without a copy in float64
    mix = np.random.default_rng(99).standard_normal([256, WIDTH], "float32") / 16
    rows = random.standard_normal([count, WIDTH], "float32")
    rows *= 0.3
    for start in range(0, count, 1000):
        part = rows[start : start + 1000]
        part += random.standard_normal([len(part), 256], "float32") @ mix + 0.02 * seed
    return np.maximum(rows, 0, out=rows)


def by_sqrtm(reals, fakes):
    """FID as it is mostly written: covariances by NumPy, the root of their product by SciPy."""
    from scipy.linalg import sqrtm

    a, b = (np.cov(rows, rowvar=False) for rows in (reals, fakes))
    apart = reals.mean(axis=0) - fakes.mean(axis=0)
    return apart @ apart + np.trace(a + b - 2 * sqrtm(a @ b).real)


def by_torch_fidelity(reals, fakes):
    import torch
    from torch_fidelity import metric_fid as fid

    statistics = [fid.fid_features_to_statistics(torch.tensor(rows)) for rows in (reals, fakes)]
    return fid.fid_statistics_to_metric(*statistics, False)["frechet_inception_distance"]


def by_clean_fid(reals, fakes):
    from cleanfid.fid import fid_from_feats

    return fid_from_feats(reals, fakes)


def kid_by_torch_fidelity(reals, fakes):
    import torch
    from torch_fidelity import metric_kid as kid

    reals, fakes = torch.tensor(reals), torch.tensor(fakes)
    found = kid.kid_features_to_metric(reals, fakes, rng_seed=0, verbose=False)
    return found["kernel_inception_distance_mean"]


def knn_by_scikit_learn(reals, fakes):
    from sklearn.neighbors import NearestNeighbors

    rows, labels = np.concatenate([reals, fakes]), np.repeat([1, 0], len(reals))
    model = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(rows)
    return (labels[model.kneighbors()[1][:, 0]] == labels).mean()


def precision_recall_by_torch_fidelity(reals, fakes):
    import torch
    from torch_fidelity import metric_prc as prc

    reals, fakes = torch.tensor(reals), torch.tensor(fakes)
    found = prc.prc_features_to_metric(fakes, reals, verbose=False)
    return found["precision"]


TASKS = {
    "fid": {
        "tfgen": metrics.fid,
        "scipy.linalg.sqrtm": by_sqrtm,
        "torch-fidelity": by_torch_fidelity,
        "clean-fid": by_clean_fid,
    },
    "kid": {
        "tfgen": lambda *sets: metrics.kid(*sets).mean,
        "torch-fidelity": kid_by_torch_fidelity,
    },
    "knn": {
        "tfgen": lambda *sets: metrics.knn(*sets).accuracy,
        "scikit-learn": knn_by_scikit_learn,
    },
    "precision": {
        "tfgen": lambda *sets: metrics.precision_recall(*sets).precision,
        "torch-fidelity": precision_recall_by_torch_fidelity,
    },
}


def speed(console, rows, rounds, names):
    reals, fakes = features(rows, 0), features(rows, 1)
    console.print(f"{rows} reals and {rows} fakes of {WIDTH} features, least of {rounds} rounds")
    for name in names:
        seconds, values = {}, {}
        for _ in range(rounds):
            for way, measure in TASKS[name].items():
                start = time.process_time()
                try:
                    values[way] = measure(reals, fakes)
                except ImportError:
                    continue
                taken = time.process_time() - start
                seconds[way] = min(seconds.get(way, taken), taken)
        for way, taken in seconds.items():
            ratio = taken / seconds["tfgen"]
            console.print(f"{name} {way}: {values[way]:.6g}, {taken:.2f} s, {ratio:.2f} of tfgen's")


def memory(console):
    """The peak of each metric in a process of its own."""
    for name in ("fid", "knn", "precision_recall"):
        start = time.perf_counter()
        answer = subprocess.run(
            [sys.executable, __file__, "--peak", name], check=True, capture_output=True, text=True
        )
        taken = time.perf_counter() - start
        console.print(f"{name}: {answer.stdout.strip()} in {taken:.0f} s")


def peak(name):
    value = getattr(metrics, name)(features(25_000, 0), features(25_000, 1))
    mebibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{value}, peak {mebibytes:.0f} MiB")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(TASKS)}; all")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak", choices=["fid", "knn", "precision_recall"], help="of one metric")
    options = parser.parse_args()
    console = Console()
    if options.peak:
        peak(options.peak)
    elif options.memory:
        memory(console)
    else:
        speed(console, options.rows, options.rounds, options.names or TASKS)
        console.print(f"{os.cpu_count()} cores")


if __name__ == "__main__":
    main()
