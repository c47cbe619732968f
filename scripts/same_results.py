"""Does another checkout of synthgen give the same images, weights and numbers?

    python scripts/same_results.py run CHECKOUT OUT [--mnist FOLDER]
    python scripts/same_results.py compare OUT OTHER_OUT

``run`` uses the checkout's own code in this Python environment: it trains models of every family on
digits (and on MNIST), draws sets with filters, augmentation and every format, holds a trial, makes
reports and compares them. ``compare`` names every difference: of image bytes, of weights, and of
each number or text of the JSON files. Exit code 1 if there is one. Times, dates, paths and versions
are left out, as they differ between two runs of the same code.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

THREADS = "1"
START = "import sys; from synthgen.cli.main import main; sys.exit(main())"
SMALL = ("judge=mlp", "judge.steps=200", "trial.seeds=2")
MODELS = {
    "gan": ("model=gan", "max_images=6000"),
    "stylegan2": ("model=stylegan2", "max_images=600"),
    "vae": ("model=vae", "max_images=6000"),
    "vq": ("model=vq_vae", "max_images=3000"),
    "hybrid": ("model=vae_gan", "max_images=1500"),
}
WITHOUT = {  # what two runs of the same code may differ in: times, places, and what hashes them
    "seconds", "created", "date", "started", "finished", "duration", "images_per_second", "path",
    "out", "folder", "hostname", "host", "pid", "elapsed", "git", "code", "cpu", "memory",
    "versions", "environment", "time", "minutes", "cache", "command", "run_dir", "root",
    "sha256", "digest", "id", "files", "sampler", "README.md",
}  # fmt: skip


def commands(out: Path, mnist: Path | None) -> Iterator[tuple[str, list[str]]]:
    """A name and what follows ``synthgen`` for every step, each made of those before it."""
    for name, chosen in MODELS.items():
        yield f"train-{name}", ["train", *chosen, f"out={out}/{name}"]
        sampler = f"sampler={out}/{name}"
        yield f"draw-{name}", ["synthesize", sampler, "plan.per_class=6", f"out={out}/{name}-set"]
    gan, report = f"sampler={out}/gan", f"{out}/report"
    for form in ("npz", "hdf5", "webdataset"):
        settings = [gan, f"format={form}", "plan.per_class=5", f"out={out}/set-{form}"]
        yield f"draw-{form}", ["synthesize", *settings]
    kept = ["filter=[near_copies,near_duplicates]", "data=digits", "plan.per_class=20"]
    yield "draw-filtered", ["synthesize", gan, *kept, f"out={out}/set-filtered"]
    yield "draw-fill", ["synthesize", gan, "plan=fill", "data=digits", f"out={out}/set-fill"]
    yield "look", ["look", gan, f"out={out}/look"]
    yield "data-check", ["data", "check", "data=digits", f"out={out}/check"]
    drawn = f"synthetic={out}/gan-set"
    trial = [drawn, gan, "trial=standard", *SMALL, f"out={report}"]
    yield "evaluate", ["evaluate", "data=digits", *trial]
    yield (
        "evaluate-vae",
        ["evaluate", "data=digits", f"synthetic={out}/vae-set", f"out={report}-vae"],
    )
    yield "compare", ["compare", report, f"{report}-vae", f"out={out}/comparison"]
    if mnist is not None:
        data = ["data=mnist", f"data.root={mnist}"]
        small = ["model=gan", "max_images=2000", f"out={out}/mnist"]
        yield "train-mnist", ["train", *data, *small]
        order = [f"sampler={out}/mnist", "plan.per_class=10", f"out={out}/mnist-set"]
        yield "draw-mnist", ["synthesize", *order]


def run(checkout: Path, out: Path, mnist: Path | None) -> int:
    out.mkdir(parents=True)
    environment = os.environ | {
        "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": THREADS, "WANDB_MODE": "disabled",
    }  # fmt: skip
    failed = 0
    for name, command in commands(out.absolute(), mnist):
        started = time.perf_counter()
        with (out / f"{name}.log").open("w") as log:
            program = [sys.executable, "-c", START, *command]
            done = subprocess.run(program, env=environment, stdout=log, stderr=log, cwd=checkout)
        failed += done.returncode != 0
        print(f"{name}: exit {done.returncode}, {time.perf_counter() - started:.1f} s", flush=True)
    return int(failed > 0)


def contents(folder: Path) -> dict[str, Any]:
    """Relative name -> what is to be equal: a digest, or parsed JSON."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        if path.suffix == ".log" or "/." in f"/{name}":
            continue
        if path.suffix == ".json":
            found[name] = json.loads(text_of(path, folder))
        elif path.suffix == ".jsonl":
            found[name] = [json.loads(line) for line in text_of(path, folder).splitlines()]
        elif path.suffix == ".safetensors":
            found[name] = tensors_of(path)
        elif path.suffix in {".npz", ".zip"}:
            with zipfile.ZipFile(path) as archive:
                found[name] = {
                    one: content_of(one, archive.read(one)) for one in archive.namelist()
                }
        elif path.suffix == ".tar":
            found[name] = members_of(path)
        elif path.suffix == ".png":
            found[name] = pixels_of(path.read_bytes())
        elif path.suffix == ".npy":
            found[name] = digest(path.read_bytes())
        else:
            found[name] = "is there"
    return found


def text_of(path: Path, folder: Path) -> str:
    """Without the name of the folder that all was written into."""
    text = path.read_text().replace(str(folder.absolute()), "OUT")
    return text.replace(f'"{folder.name}"', '"OUT"')


def tensors_of(path: Path) -> dict[str, str]:
    from safetensors.numpy import load_file

    return {k: digest(v.tobytes()) + str(v.shape) for k, v in load_file(path).items()}


def members_of(path: Path) -> dict[str, str]:
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                found[member.name] = content_of(member.name, file.read())
    return found


def content_of(name: str, content: bytes) -> str:
    return pixels_of(content) if name.endswith(".png") else digest(content)


def pixels_of(content: bytes) -> str:
    """Of what the picture shows: the file also holds the id of its set."""
    with Image.open(io.BytesIO(content)) as image:
        return f"{image.size} {image.mode} {digest(image.tobytes())}"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def differences(ours: Any, theirs: Any, where: str = "") -> Iterator[str]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            if key.rsplit("/", 1)[-1] in WITHOUT:
                continue
            if key not in ours or key not in theirs:
                side = "first" if key in ours else "second"
                yield f"{where}: {key} only in the {side}"
            else:
                yield from differences(ours[key], theirs[key], f"{where}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(*pair, f"{where}[{number}]")
    elif ours != theirs:
        yield f"{where}: {shown(ours)} / {shown(theirs)}"


def shown(value: Any) -> str:
    return str(value)[:150]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    first = parts.add_parser("run")
    first.add_argument("checkout", type=Path)
    first.add_argument("out", type=Path)
    first.add_argument("--mnist", type=Path)
    second = parts.add_parser("compare")
    second.add_argument("out", type=Path)
    second.add_argument("other", type=Path)
    given = parser.parse_args()
    if given.part == "run":
        return run(given.checkout.absolute(), given.out.absolute(), given.mnist)
    found = list(differences(contents(given.out), contents(given.other)))
    print("\n".join(found) or "Everything is equal.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
