"""What a generation is and what may happen to it; no I/O, no clock."""

from services.generation.domain.attempts import Attempt, Egress
from services.generation.domain.catalogue import Catalogue, Model, Task, VendorCard
from services.generation.domain.conclusions import Rules, Try, cancel
from services.generation.domain.copies import VendorCopy, arrived
from services.generation.domain.jobs import Ending, Job, Row, Transition
from services.generation.domain.names import account_name, generation_id, generation_name, ordered_id
from services.generation.domain.orders import Quote, Wish, quote
from services.generation.domain.refusals import (
    CredentialEnded,
    GenerationNotFound,
    GenerationUnderWay,
    LastEventIdUnreadable,
    OrderEnded,
    QueueFull,
    StateNumberUnknown,
    StreamsTooMany,
)
from services.generation.domain.states import AttemptState, FailureReason, JobState, Outcome
from services.generation.domain.vendors import (
    ContentRefused,
    Delivered,
    Input,
    NotAccepted,
    Order,
    Result,
    RetryPolicy,
    Route,
    Unanswered,
    Vendor,
)

__all__ = [
    "Attempt", "AttemptState", "Catalogue", "ContentRefused", "CredentialEnded", "Delivered", "Egress",
    "Ending", "FailureReason", "GenerationNotFound", "GenerationUnderWay", "Input", "Job", "JobState",
    "LastEventIdUnreadable", "Model", "NotAccepted", "Order", "OrderEnded", "Outcome", "QueueFull", "Quote",
    "Result", "RetryPolicy", "Route", "Row", "Rules", "StateNumberUnknown", "StreamsTooMany", "Task",
    "Transition", "Try", "Unanswered", "Vendor", "VendorCard", "VendorCopy", "Wish", "account_name",
    "arrived", "cancel", "generation_id", "generation_name", "ordered_id", "quote",
]  # fmt: skip
