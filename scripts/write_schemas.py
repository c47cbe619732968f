"""Write the JSON Schemas of the files that synthgen writes to docs/schemas.

    python scripts/write_schemas.py

They are made from the models that write and read the files; a test fails when they are out of date.
"""

from __future__ import annotations

import json
from pathlib import Path

from synthgen.data.checks.file import CheckFile
from synthgen.dataset.origin import SplitFile
from synthgen.dataset.schema import Dataset, IndexRow, ManifestRow, PublicDataset, PublicRow
from synthgen.evaluation.report.schema import Comparison, Report
from synthgen.samplers.artifact import SamplerDescription
from synthgen.schema import Schema

FOLDER = Path(__file__).parent.parent / "docs" / "schemas"
SCHEMAS: dict[str, type[Schema]] = {
    "sampler": SamplerDescription,
    "split": SplitFile,
    "check": CheckFile,
    "dataset": Dataset,
    "manifest_row": ManifestRow,
    "index_row": IndexRow,
    "public_dataset": PublicDataset,
    "public_manifest_row": PublicRow,
    "report": Report,
    "comparison": Comparison,
}


def schema_text(model: type[Schema]) -> str:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **model.model_json_schema(by_alias=True, mode="validation"),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, model in SCHEMAS.items():
        (FOLDER / f"{name}.json").write_text(schema_text(model), encoding="utf-8")


if __name__ == "__main__":
    main()
