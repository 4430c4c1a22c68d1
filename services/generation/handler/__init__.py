"""GenerationService: one method per RPC."""

from services.generation.handler.desk import Desk
from services.generation.handler.ending import Ending
from services.generation.handler.offering import Offering
from services.generation.handler.ordering import Ordering
from services.generation.handler.reading import Reading
from services.generation.handler.watching import Watching

__all__ = ["Desk", "Handler"]


class Handler(Offering, Ordering, Reading, Ending, Watching):
    """`crafiq.generation.v1.GenerationService`: what is offered, ordered, read, ended and watched."""
