"""A way of looking at a sampler, the folder that it leaves, and its files."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

import synthgen
from synthgen.device import torch_threads
from synthgen.io import new_folder, require_absent, write_bytes, write_json
from synthgen.samplers.artifact import load_sampler, read_description, sampler_folder
from synthgen.samplers.base import Sampler
from synthgen.serialization import Rebuildable, to_spec

# Pictures as files, and moving ones.


def write_png(path: Path, picture: Image.Image) -> Path:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    write_bytes(path, buffer.getvalue())
    return path


def write_gif(path: Path, frames: Sequence[Image.Image], per_second: float) -> Path:
    """An endless GIF; its clock knows hundredths of a second only."""
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=list(frames[1:]),
        duration=max(20, 10 * round(100 / per_second)),
        loop=0,
    )
    write_bytes(path, buffer.getvalue())
    return path


def write_mp4(path: Path, frames: Sequence[Image.Image], per_second: float) -> Path | None:
    """An H.264 film; None where the package imageio-ffmpeg isn't installed."""
    try:
        import imageio_ffmpeg
    except ImportError:
        return None
    width, height = frames[0].size
    size = (width - width % 2, height - height % 2)  # which the format wants even
    partial = path.with_name(f".{path.name}")
    writer = imageio_ffmpeg.write_frames(
        str(partial), size, fps=per_second, macro_block_size=2, output_params=["-f", "mp4"]
    )
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(np.asarray(frame.convert("RGB"))[: size[1], : size[0]]))
    writer.close()
    partial.replace(path)
    return path


def in_rows(images: Tensor, rows: int) -> Tensor:
    """uint8 ``(R * K, C, H, W)`` -> ``(R, K, C, H, W)``."""
    return images.unflatten(0, (rows, -1))


FORMAT = "synthgen-look/1"
DESCRIPTION = "look.json"


class Look(Rebuildable, ABC):
    """Makes pictures of one kind."""

    @abstractmethod
    def write(self, sampler: Sampler, seed: int, folder: Path) -> list[Path]:
        """Write pictures into ``folder``.

        Returns:
            Their paths, the most telling one first.

        Raises:
            SynthgenError: the sampler can't be looked at in this way.
        """


def look(
    sampler_path: str | Path,
    what: Look,
    out: str | Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    allow: Iterable[str] = (),
) -> list[Path]:
    """Write the pictures of ``what`` into the new folder ``out``, with a ``look.json`` that says
    how they were made.

    Args:
        sampler_path: the folder of a run, or the sampler's own.
        seed: different ones show different latents.
        allow: further packages whose samplers you trust.

    Returns:
        The paths of the pictures, the most telling one first.

    Raises:
        SynthgenError: the sampler can't be looked at so; nothing is left behind.
    """
    out = Path(out)
    require_absent(out)
    sampler = load_sampler(sampler_path, allow, device=device)
    description = read_description(sampler_folder(sampler_path))
    with new_folder(out) as staging, torch_threads(sampler.threads or 1):
        pictures = what.write(sampler, seed, staging)
        write_json(
            staging / DESCRIPTION,
            {
                "format": FORMAT,
                "what": to_spec(what),
                "seed": seed,
                "pictures": [path.name for path in pictures],
                "sampler": {
                    "sha256": description.sha256,
                    "target": description.sampler.target,
                },
                "exposes_real": description.exposes_real,
                "versions": {"synthgen": synthgen.__version__},
            },
        )
    return [out / path.name for path in pictures]
