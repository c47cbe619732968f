"""CIFAR-10 from torchvision's files or from a folder of images."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from synthgen.data.arrays import Arrays, ArraySource
from synthgen.data.folder import ImageFolder, split_folders
from synthgen.data.source import Records, existing
from synthgen.errors import SynthgenError

BATCHES = "cifar-10-batches-py"


@dataclass(frozen=True, kw_only=True)
class CIFAR10(ArraySource):
    """CIFAR-10: 50,000 + 10,000 colour photographs, 32 × 32, with its official test set.

    ``root`` is the folder given to torchvision (it holds ``cifar-10-batches-py``) or that folder
    itself, or a folder with ``train/<class>/`` and ``test/<class>/``.
    """

    root: str

    kind: ClassVar[str] = "cifar10"

    def read(self) -> Records:
        folder = self.as_folder()
        return super().read() if folder is None else folder.read()

    def as_folder(self) -> ImageFolder | None:
        """The same data as an ImageFolder, if that is what lies at ``root``."""
        root = existing(self.root, "data.root")
        if self._batches_parent() is not None or not root.is_dir():
            return None
        if {"train", "test"} <= set(split_folders(root)):
            return ImageFolder(
                root=self.root,
                size=self.size,
                fit=self.fit,
                holdout=self.holdout,
                test=self.test,
                split_seed=self.split_seed,
            )
        return None

    def arrays(self) -> Arrays:
        parent = self._batches_parent()
        if parent is None:
            raise SynthgenError(
                f"There is no CIFAR-10 in {self.root} (looked for {BATCHES}/ and for train/ and "
                f"test/ with class folders).\n{self._how_to_get()}"
            )
        from torchvision.datasets import CIFAR10 as TorchvisionCIFAR10  # noqa: N811

        try:
            # The batches are pickles. torchvision compares their MD5 before it opens them.
            train, test = (TorchvisionCIFAR10(parent, train=train) for train in (True, False))
        except (RuntimeError, FileNotFoundError) as error:
            raise SynthgenError(
                f"The files in {parent / BATCHES} are incomplete or not the original ones.\n"
                f"{self._how_to_get()}"
            ) from error
        return Arrays(
            np.concatenate([train.data, test.data]),
            np.array(train.targets + test.targets),
            tuple(train.classes),
            ("train",) * len(train) + ("test",) * len(test),
        )

    def _batches_parent(self) -> Path | None:
        root = existing(self.root, "data.root")
        if (root / BATCHES).is_dir():
            return root
        return root.absolute().parent if root.name == BATCHES else None

    def _how_to_get(self) -> str:
        call = "from torchvision.datasets import CIFAR10 as D"
        return f'Get it: python -c "{call}; D({self.root!r}, download=True)"'
