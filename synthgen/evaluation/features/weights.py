"""Weights from files: found without a network, read without running code, named by their hash."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from synthgen.errors import SynthgenError

ENDINGS = (".safetensors", ".pth", ".pt", ".bin")
WRAPPERS = ("state_dict", "model", "model_state", "state_dict_ema")  # tables that hold the table
COUNTERS = "num_batches_tracked"  # older files lack it, and no feature depends on it


def hub_folder() -> Path:
    """Where torch hub keeps weights: ``TORCH_HOME`` moves it."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def find_weights(
    weights: str | None, candidates: Iterable[Path], *, option: str, what: str, origin: str = ""
) -> Path:
    """The file ``weights``, else the first of ``candidates`` that exists. Raises SynthgenError with
    the place to put it and ``origin``, where it is published: nothing is ever downloaded."""
    places = [Path(weights).expanduser()] if weights else list(candidates)
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise SynthgenError(
            f"The {what} weights are not at {places[0]}, and nothing is downloaded.\n"
            f"Put the file there{origin and f' (from {origin})'}, or name it with "
            f"{option}.weights=PATH."
        )
    return found


def in_hub_folder(name: str) -> list[Path]:
    """``name`` with each of the usual endings in torch hub's folder."""
    return [hub_folder() / f"{name}{ending}" for ending in ENDINGS]


def in_hugging_face_cache(repository: str, files: Sequence[str]) -> list[Path]:
    """Those of ``files`` of ``repository`` that an earlier download left on this machine."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return []
    found = [try_to_load_from_cache(repository, file) for file in files]
    return [Path(path) for path in found if isinstance(path, str)]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name, from safetensors or a PyTorch file of nothing but tensors. Raises
    SynthgenError for anything else; pickled code is not run."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise SynthgenError(_not_weights(path, type(error).__name__)) from error
    except Exception as error:  # safetensors' own error derives from nothing narrower
        if type(error).__name__ != "SafetensorError":
            raise
        raise SynthgenError(_not_weights(path, "SafetensorError")) from error
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise SynthgenError(_not_weights(path, "no table of tensors"))
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _not_weights(path: Path, reason: str) -> str:
    return (
        f"{path} can't be read as weights ({reason}).\n"
        "Give a .safetensors file, or a PyTorch file that holds tensors only."
    )


def load_every_tensor(network: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Fill the whole network; further tensors (of a head that was cut off) are left aside. Raises
    SynthgenError if one is missing or has another shape: it would stay random."""
    wanted = network.state_dict()
    missing = [n for n in wanted if n not in tensors and not n.endswith(COUNTERS)]
    unlike = [n for n, own in wanted.items() if n in tensors and tensors[n].shape != own.shape]
    wrong = missing or unlike
    if wrong:
        what = "lacks" if missing else "has another shape for"
        raise SynthgenError(
            f"{path} {what} {len(wrong)} of the network's {len(wanted)} tensors ({wrong[0]}, …).\n"
            "Give the weights of this very model."
        )
    network.load_state_dict({n: t for n, t in tensors.items() if n in wanted}, strict=False)


def weights_digest(network: nn.Module) -> str:
    """SHA-256 over names, shapes and float32 bytes of all parameters and running statistics."""
    state = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        state.update(f"{name} {tuple(tensor.shape)}\n".encode())
        state.update(tensor.detach().cpu().float().contiguous().numpy().tobytes())
    return state.hexdigest()
