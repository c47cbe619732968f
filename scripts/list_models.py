"""Write synthgen/cli/models.json: what ``synthgen models`` says without building a network. To be
run whenever configs or networks change; tests/cli/test_models_verb.py says when."""

import json

from hydra import initialize_config_dir

from synthgen.cli.listing import KEPT, counted, digest
from synthgen.io import config_dir
from synthgen.types import ImageSpec

IMAGE = ImageSpec(3, 32, 32, tuple(f"class {number}" for number in range(10)))


def listing() -> dict[str, object]:
    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
        options = counted([config_dir()], [], IMAGE, own_sizes=True)
    return {"configs": digest(config_dir()), "options": options}


if __name__ == "__main__":
    KEPT.write_text(json.dumps(listing(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
