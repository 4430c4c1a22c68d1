"""What identity does when others announce something: nothing yet, for nobody announces what it needs."""

from __future__ import annotations

from chassis.consumers import Subscription


class Consumers:
    """The events that identity listens to."""

    def subscriptions(self) -> list[Subscription]:
        """None so far."""
        return []
