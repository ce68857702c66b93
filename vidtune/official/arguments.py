"""Reading the authors' arguments by name."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from vidtune.spec import Backbone, Model, TextTower, UserError

_REQUIRED = object()
F = TypeVar("F", Backbone, Model)
V = TypeVar("V")


class Arguments:
    """Reads arguments. Raises `UserError` for one that is missing or of another type."""

    def __init__(self, method: str, values: Mapping[str, Any]) -> None:
        self.method, self._values = method, values

    def error(self, name: str, problem: str) -> UserError:
        return UserError(f"official {self.method}: {name}: {problem}")

    def get(self, name: str, kind: type, default: Any = _REQUIRED) -> Any:
        value = self._values.get(name, default)
        if value is _REQUIRED:
            raise self.error(name, "missing; add the authors' argument")
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if kind is list and isinstance(value, tuple):
            value = list(value)
        if kind is bool and value in (0, 1):
            value = bool(value)
        if not isinstance(value, kind):
            raise self.error(name, f"expected {kind.__name__}; found {value!r}")
        return value

    def integer(self, name: str, default: Any = _REQUIRED) -> int:
        return self.get(name, int, default)

    def dashed(self, name: str) -> tuple[int, ...]:
        """Read integers written "8-9-10"."""
        text = self.get(name, str)
        try:
            return tuple(int(part) for part in text.split("-"))
        except ValueError:
            raise self.error(name, f"expected integers such as 8-9-10; found {text!r}") from None

    def choice(self, name: str, words: Mapping[str, V], default: str) -> V:
        """What we have for one of the authors' words."""
        word = self.get(name, str, default)
        if word not in words:
            raise self.error(name, f"expected {' or '.join(words)}; found {word!r}")
        return words[word]

    def header(self) -> dict[str, Any]:
        """CLIP4Clip's option of the transformer that frames may pass."""
        transformer = {"header_layers": self.integer("cross_num_hidden_layers", 4)}
        return self.choice("sim_header", {"meanP": {}, "seqTransf": transformer}, "meanP")

    def backbone(self, arch: str = "clip") -> Backbone:
        """The backbone. The sizes of its text tower matter only where one is built."""
        width = self.integer("vision_width")
        text = TextTower(
            width=self.integer("text_width", 64),
            layers=self.integer("text_layers", 1),
            context=self.integer("context_length", 77),
            vocabulary="clip-bpe",
            vocab_size=self.integer("vocab_size", 49408),
        )
        return self._fitting(
            Backbone,
            name=f"{arch}-of-{self.method}",
            arch=arch,
            image=self.integer("image_size"),
            patch=self.integer("patch_size"),
            width=width,
            layers=self.integer("vision_layers"),
            embed=self.integer("embed_dim", width),
            head_width=self.integer("head_width", 64),
            mlp_ratio=self.get("mlp_ratio", float, 4.0),
            text=text,
        )

    def _fitting(self, kind: type[F], **fields: Any) -> F:
        """A backbone or model of these sizes. Raises `UserError` that names an impossible one."""
        try:
            return kind(**fields)
        except ValidationError as e:
            first = e.errors()[0]
            where = ".".join(map(str, first["loc"])) or kind.__name__.lower()
            raise self.error(where, first["msg"]) from None

    def model(
        self,
        method: str,
        options: dict[str, Any],
        *,
        retrieval: bool = False,
        arch: str = "clip",
        frames: int | None = None,
    ) -> Model:
        """Our method with these options on their backbone; `frames` where not `num_frames`."""
        return self._fitting(
            Model,
            name=f"official/{self.method}",
            method=method,
            options=options,
            backbone=self.backbone(arch),
            task="retrieval" if retrieval else "recognition",
            frames=self.integer("num_frames") if frames is None else frames,
            classes=None if retrieval else self.integer("num_classes"),
            max_words=self.integer("max_words", 32),
        )
