"""`config.json` of a released checkpoint, translated to xlmgen's settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xlmgen.data.auto_tokenizer import ROLES
from xlmgen.errors import UserError
from xlmgen.io.json_input import Schema, check_object, read_object
from xlmgen.runtime.special_tokens import SpecialTokens
from xlmgen.spec.family import FamilySpec
from xlmgen.spec.schemas import built_in, satisfies

CONFIG = "config.json"
RESTORE = "restore it from its source"
NUMBERS = {
    "d_model": "hidden_size",
    "layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "ffn": "intermediate_size",
}
"""Numbers of a size, and their names in `config.json`."""
EXPECTED = {"hidden_act": "silu", "use_sliding_window": False}
"""Values that all supported networks share."""
PLAIN_THETA = 10_000.0
"""Default base of the rotary wavelengths."""
COUNT: Schema = {"type": "integer", "minimum": 1}
ROPE: Schema = {
    "type": ["object", "null"],
    "properties": {"rope_theta": {"type": "number"}},
}
SHAPE: Schema = {
    "required": ["model_type", "vocab_size"]
    + [name for key, name in NUMBERS.items() if key != "num_kv_heads"],
    "properties": {
        "model_type": {"type": "string", "maxLength": 100},
        "vocab_size": COUNT,
        **dict.fromkeys(NUMBERS.values(), COUNT),
        "num_key_value_heads": {"type": ["integer", "null"], "minimum": 1},
        "head_dim": {"type": ["integer", "null"], "minimum": 1},
        "rms_norm_eps": {"type": "number"},
        "rope_theta": {"type": ["number", "null"]},
        "rope_parameters": ROPE,
        "rope_scaling": ROPE,
    },
}
"""Schema of the keys that are read."""
DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}


@dataclass(frozen=True)
class Config:
    """A checkpoint's `config.json`.

    Args:
        path: the file.
        data: its contents.
    """

    path: Path
    data: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Config:
        """Read the `config.json` of a folder.

        Raises:
            UserError: there is none, or it is not of a language model.
        """
        for place, kind in ((folder, "folder "), (folder / CONFIG, "")):
            if not place.exists():
                raise UserError(
                    f"there is no {kind}{place}",
                    "name a folder with config.json and safetensors files",
                )
        data = read_object(folder / CONFIG, RESTORE)
        missing = [key for key in SHAPE["required"] if key not in data]
        if missing:
            raise UserError(
                f"{folder / CONFIG} has no {', '.join(missing)}",
                "name the folder of a language model's checkpoint",
            )
        check_object(data, str(folder / CONFIG), RESTORE, SHAPE)
        return cls(folder / CONFIG, data)

    @property
    def model_type(self) -> str:
        found: str = self.data["model_type"]
        return found

    @property
    def vocab_size(self) -> int:
        found: int = self.data["vocab_size"]
        return found

    @property
    def numbers(self) -> dict[str, Any]:
        """Size of the network with the names of a family's `sizes`."""
        found = {key: self.data.get(name) for key, name in NUMBERS.items()}
        return found | {"num_kv_heads": found["num_kv_heads"] or found["num_heads"]}

    @property
    def options(self) -> dict[str, Any]:
        """Options that a family's model must be rendered with."""
        rope = self.data.get("rope_parameters") or self.data.get("rope_scaling") or {}
        theta = self.data.get("rope_theta") or rope.get("rope_theta", PLAIN_THETA)
        return {
            "rope_theta": float(theta),
            "norm_eps": float(self.data.get("rms_norm_eps", 1e-6)),
            "tie_head": bool(self.data.get("tie_word_embeddings", False)),
        }

    @property
    def special_ids(self) -> dict[str, int]:
        """Valid ids of special tokens by role; of a list of ids, the first."""
        found = {}
        for role in ROLES:
            value = self.data.get(f"{role}_token_id")
            value = value[0] if isinstance(value, list) and value else value
            # Some configs write -1 for a missing token.
            if type(value) is int and 0 <= value < self.vocab_size:
                found[role] = value
        return found

    def check(self) -> None:
        """Refuse a network with unsupported parts.

        Raises:
            UserError: names every unsupported part.
        """
        unsupported = [
            f"{key} is {json.dumps(self.data[key])}, not {json.dumps(value)}"
            for key, value in EXPECTED.items()
            if self.data.get(key, value) != value
        ]
        rope = self.data.get("rope_parameters") or self.data.get("rope_scaling") or {}
        kind = rope.get("rope_type") or rope.get("type") or "default"
        if kind != "default":
            unsupported.append(f"its rotary positions are scaled ({kind})")
        numbers = self.numbers
        size = self.data.get("head_dim") or numbers["d_model"] // numbers["num_heads"]
        if size * numbers["num_heads"] != numbers["d_model"]:
            unsupported.append(
                f"head_dim is {size}, not hidden_size / num_attention_heads"
            )
        if unsupported:
            raise UserError(
                f"{self.path}: {'; '.join(unsupported)}",
                "such a checkpoint cannot be imported",
            )


def reads(spec: FamilySpec) -> tuple[str, ...]:
    """Values of `model_type` whose checkpoints a family can import; usually none."""
    kind = spec.project.schemas.kind("model", spec.model.kind).get("x-checkpoint", {})
    if not satisfies(kind.get("when", {}), dict(spec.model.options)):
        return ()
    return tuple(kind.get("model_types", ()))


def check_options(config: Config, spec: FamilySpec) -> None:
    """Refuse a checkpoint that does not fit the options of a family's model.

    Raises:
        UserError: names every difference and how to remove it.
    """
    if config.model_type not in reads(spec):
        raise UserError(
            f"the model {spec.model.kind} of the family {spec.name} cannot read a "
            f"checkpoint of model_type {config.model_type!r}",
            "choose an experiment of a family whose model is "
            f"{' or '.join(readers(config.model_type)) or 'another kind'}",
        )
    wrong = {
        key: value
        for key, value in config.options.items()
        if spec.model.options[key] != value
    }
    if wrong:
        differing = [
            f"{key} is {json.dumps(value)} in {config.path} and "
            f"{json.dumps(spec.model.options[key])} in the family {spec.name}"
            for key, value in wrong.items()
        ]
        settings = ", ".join(
            f"{key}: {json.dumps(value)}" for key, value in wrong.items()
        )
        raise UserError(
            "; ".join(differing),
            f"copy the family's YAML under another name, set {settings} under "
            "`model:`, render it, and import with an experiment of it",
        )


def readers(model_type: str) -> list[str]:
    """Kinds of model that can import checkpoints of a type."""
    schemas = built_in()
    return [
        kind
        for kind in schemas.kinds("model")
        if model_type
        in schemas.kind("model", kind).get("x-checkpoint", {}).get("model_types", ())
    ]


def make_config(
    spec: FamilySpec,
    numbers: Mapping[str, int],
    tokens: SpecialTokens,
    dtype: str,
) -> dict[str, Any]:
    """Contents of `config.json` for a network that was not imported.

    Args:
        numbers: all of `NUMBERS`.
        dtype: as safetensors writes it, such as `F32`.
    """
    kind = spec.project.schemas.kind("model", spec.model.kind)["x-checkpoint"]
    options = spec.model.options
    return {
        "architectures": [kind["architecture"]],
        "model_type": kind["model_types"][0],
        "vocab_size": tokens.vocab_size,
        **{name: numbers[key] for key, name in NUMBERS.items()},
        "hidden_act": EXPECTED["hidden_act"],
        "rms_norm_eps": options["norm_eps"],
        "rope_theta": options["rope_theta"],
        "tie_word_embeddings": options["tie_head"],
        "use_sliding_window": False,
        **{f"{role}_token_id": getattr(tokens, role) for role in ROLES},
        "torch_dtype": DTYPES.get(dtype, dtype.lower()),
    }
