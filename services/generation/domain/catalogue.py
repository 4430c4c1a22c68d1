"""What can be made, by whom, and what it costs: vendors and models as data."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from services.generation.domain.refusals import (
    ModelShutDown,
    ModelUnknown,
    ModelUnpriced,
    TaskUnavailable,
)


class Task(StrEnum):
    """What kind of thing is asked for; the names are the proto's."""

    TEXT_TO_IMAGE = "TEXT_TO_IMAGE"
    IMAGE_TO_IMAGE = "IMAGE_TO_IMAGE"
    TEXT_TO_3D = "TEXT_TO_3D"
    IMAGE_TO_3D = "IMAGE_TO_3D"
    TEXT_TO_AUDIO = "TEXT_TO_AUDIO"
    TEXT_TO_SPEECH = "TEXT_TO_SPEECH"
    TEXT_TO_VIDEO = "TEXT_TO_VIDEO"

    @property
    def takes_input(self) -> bool:
        """Whether it begins with media."""
        return self.startswith("IMAGE_")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VendorCard(_Entry):
    """Someone who receives Input, as shown to people before they order."""

    title: str
    retention: str
    retention_days: int = Field(ge=0)
    trains_on_input: bool
    region: str
    terms_uri: str


class Model(_Entry):
    """Something that makes media. `credits` is the price of one Output; None is not for sale."""

    title: str
    vendor: str
    tasks: tuple[Task, ...]
    default_for: tuple[Task, ...] = ()
    credits: int | None = Field(default=None, ge=1)
    max_count: int = Field(ge=1)
    max_inputs: int = Field(ge=0)
    max_input_bytes: int = Field(ge=0)
    input_types: tuple[str, ...]
    parameters: Mapping[str, tuple[str, ...]] = {}
    shutdown_at: AwareDatetime | None = None

    def ended(self, now: datetime) -> bool:
        """Whether the vendor has ended it."""
        return self.shutdown_at is not None and self.shutdown_at <= now

    def usable(self, now: datetime) -> bool:
        """Whether it can be ordered."""
        return self.credits is not None and not self.ended(now)


class Catalogue(_Entry):
    """Every vendor and model there is, by id."""

    vendors: Mapping[str, VendorCard]
    models: Mapping[str, Model]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read TOML; raises pydantic.ValidationError with what is wrong."""
        return cls.model_validate(tomllib.loads(text))

    @model_validator(mode="after")
    def _names_resolve(self) -> Self:
        for name, model in self.models.items():
            if model.vendor not in self.vendors:
                raise ValueError(f"{name}: there is no vendor {model.vendor}")
            if not set(model.default_for) <= set(model.tasks):
                raise ValueError(f"{name}: the default for something that it does not do")
        return self

    def of(self, vendors: Collection[str]) -> Self:
        """What is left of it with only these vendors configured."""
        return type(self)(
            vendors={name: card for name, card in self.vendors.items() if name in vendors},
            models={name: model for name, model in self.models.items() if model.vendor in vendors},
        )

    def usable(self, now: datetime) -> dict[str, Model]:
        """The models that can be ordered now, as listed."""
        return {name: model for name, model in self.models.items() if model.usable(now)}

    def choose(self, wanted: str, task: Task, now: datetime) -> tuple[str, Model]:
        """The model that a person named (`models/{id}` or the id), or the task's own if none was.

        Raises ModelUnknown, ModelShutDown, ModelUnpriced, TaskUnavailable.
        """
        if not wanted:
            return self._default(task, now)
        name = wanted.removeprefix("models/")
        model = self.models.get(name)
        if model is None:
            raise ModelUnknown(model=name if re.fullmatch(r"[a-z0-9._-]{1,60}", name) else "of that name")
        if model.ended(now):
            raise ModelShutDown(model=name)
        if model.credits is None:
            raise ModelUnpriced(model=name)
        return name, model

    def _default(self, task: Task, now: datetime) -> tuple[str, Model]:
        able = [(name, model) for name, model in self.usable(now).items() if task in model.tasks]
        # The appointed one first, then as listed: a default that its vendor ends must not stop orders.
        able.sort(key=lambda entry: task not in entry[1].default_for)
        if not able:
            raise TaskUnavailable(task=task)
        return able[0]
