"""The data set: examples with declared inputs, an id each, and where they came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import dspy

from .. import canonical
from ..errors import DataError, UsageError
from .content import input_key, input_text, json_form

__all__ = ["DataSet", "content_ids", "example", "of_examples"]


@dataclass(frozen=True, slots=True)
class DataSet(Sequence[dspy.Example]):
    """Examples in order, each with a unique id; `data[3]` is an example, `data[:3]` a data set.

    `places` says where each example stood ("claims.jsonl:12", "" where unknown) and `groups` to
    which group it belongs; each is empty or as long as `examples`.

    >>> from compilm.datasets import load
    >>> data = load([{"text": "hi", "label": "greeting"}], inputs=["text"])
    >>> data.inputs, data.fields, data[0].label
    (('text',), ('text', 'label'), 'greeting')
    >>> data
    <DataSet 'list': 1 example, text -> label>
    """

    examples: tuple[dspy.Example, ...]
    ids: tuple[str, ...]
    name: str = "data"
    places: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        size = len(self.examples)
        if len(self.ids) != size or any(
            len(x) not in (0, size) for x in (self.places, self.groups)
        ):
            raise UsageError(
                f"{size} examples need {size} ids, and as many places and groups or none, not "
                f"{len(self.ids)}, {len(self.places)} and {len(self.groups)}"
            )
        if len(set(self.ids)) < size:
            repeated = next(key for key, count in Counter(self.ids).items() if count > 1)
            raise DataError(
                f"id {repeated!r} stands twice: give each example its own", file=self.name
            )

    def __len__(self) -> int:
        return len(self.examples)

    @overload
    def __getitem__(self, index: int) -> dspy.Example: ...
    @overload
    def __getitem__(self, index: slice) -> DataSet: ...
    def __getitem__(self, index: int | slice) -> dspy.Example | DataSet:
        if isinstance(index, slice):
            return self.subset(range(len(self))[index])
        return self.examples[index]

    def __iter__(self) -> Iterator[dspy.Example]:
        return iter(self.examples)

    def __hash__(self) -> int:
        return hash((self.name, self.ids))

    def __repr__(self) -> str:
        count = f"{len(self)} example{'' if len(self) == 1 else 's'}"
        shape = f"{', '.join(self.inputs)} -> {', '.join(self._labels()) or 'no labels'}"
        return (
            f"<DataSet {self.name!r}: {count}, {shape}>"
            if self
            else f"<DataSet {self.name!r}: empty>"
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the input fields, in the order of the first example."""
        return tuple(self.examples[0].inputs().keys()) if self.examples else ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of every field that some example has, in the order they first appear."""
        return tuple(dict.fromkeys(name for each in self.examples for name in each.keys()))  # noqa: SIM118

    @property
    def fingerprint(self) -> str:
        """A digest of ids and content; the same rows in another order have the same one."""
        content = (canonical.digest(json_form(each.items())) for each in self.examples)
        return canonical.digest(
            sorted([key, said] for key, said in zip(self.ids, content, strict=True))
        )

    def subset(self, indices: Iterable[int], name: str | None = None) -> DataSet:
        """The examples at `indices`, in that order, under this name or another."""
        picked = tuple(indices)
        return DataSet(
            examples=tuple(self.examples[index] for index in picked),
            ids=tuple(self.ids[index] for index in picked),
            name=self.name if name is None else name,
            places=tuple(self.places[index] for index in picked) if self.places else (),
            groups=tuple(self.groups[index] for index in picked) if self.groups else (),
        )

    def input_keys(self) -> tuple[str, ...]:
        """A digest per example, shared by those whose inputs differ by case and space at most."""
        return tuple(input_key(_inputs(each)) for each in self.examples)

    def input_texts(self) -> tuple[str, ...]:
        """The inputs of each example as one text."""
        return tuple(input_text(_inputs(each)) for each in self.examples)

    def _labels(self) -> list[str]:
        return [name for name in self.fields if name not in self.inputs]


def example(values: dict[str, Any], inputs: Iterable[str]) -> dspy.Example:
    """An example that holds `values` and declares `inputs`."""
    return dspy.Example(values).with_inputs(*inputs)


def of_examples(
    examples: Iterable[dspy.Example], *, inputs: Sequence[str] | None, name: str
) -> DataSet:
    """A data set of examples made elsewhere, the same objects unless `inputs` declares anew."""
    kept: list[dspy.Example] = []
    digests: list[str] = []
    for number, given in enumerate(examples, start=1):
        one = given if inputs is None else given.with_inputs(*inputs)
        _check_inputs(one, kept[0] if kept else one, name, number)
        digests.append(canonical.digest(json_form(one.items(), file=name, line=number)))
        kept.append(one)
    return DataSet(tuple(kept), content_ids(digests), name=name)


def content_ids(digests: Iterable[str]) -> tuple[str, ...]:
    """A short unique id per content digest: what repeats gets "-2", "-3", ... in order.

    >>> content_ids(["sha256:0123456789abcdef", "sha256:0123456789abcdef"])
    ('0123456789ab', '0123456789ab-2')
    """
    seen: Counter[str] = Counter()
    found = []
    for full in digests:
        key = canonical.short(full)
        seen[key] += 1
        found.append(key if seen[key] == 1 else f"{key}-{seen[key]}")
    return tuple(found)


def _inputs(each: dspy.Example) -> dict[str, Any]:
    return dict(each.inputs().items())


def _check_inputs(one: dspy.Example, first: dspy.Example, name: str, number: int) -> None:
    try:
        has, expected = set(one.inputs().keys()), set(first.inputs().keys())
    except (ValueError, AttributeError):  # AttributeError: a dspy.Prediction, which has no inputs
        message = "this example declares no inputs: use .with_inputs(...), or pass inputs=[...]"
        raise DataError(message, file=name, line=number) from None
    if not has:
        fields = ", ".join(map(repr, one.keys())) or "none"
        message = f"this example has none of its declared inputs: its fields are {fields}"
        raise DataError(message, file=name, line=number)
    if has != expected:
        field = sorted(has ^ expected)[0]
        message = f"an input of example {1 if field in expected else number} alone: all must agree"
        raise DataError(message, file=name, line=number, field=field)
