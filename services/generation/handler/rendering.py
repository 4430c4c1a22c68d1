"""Rows as the API shows them, and states as server-sent events."""

from __future__ import annotations

import json
from datetime import datetime
from uuid import UUID

from crafiq.generation.v1 import generation_pb2
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.errors import Refusal
from services.generation.domain import (
    GONE,
    Egress,
    Job,
    JobState,
    Model,
    Route,
    Task,
    Transition,
    generation_name,
)
from services.generation.repository import Removed

HEARTBEAT = b": hb\n\n"
REAUTH = b'event: reauth\ndata: {"message": "Refresh the session and resume with Last-Event-ID."}\n\n'


def generation(job: Job, step: Transition | None = None) -> generation_pb2.Generation:
    """The resource as it is, or as it was at `step`: without what came later."""
    at = step or job
    past = at.seq < job.seq
    outputs = job.outputs if step is None else job.outputs[: step.outputs]
    message = generation_pb2.Generation(
        name=generation_name(job.id),
        state=generation_pb2.State.Value(JobState(at.state).outside),
        task=_task(job.task),
        model=job.model,
        vendor=job.vendor,
        prompt=job.prompt,
        input_assets=[asset for asset in job.inputs if asset != GONE],
        output_assets=[asset for asset in outputs if asset != GONE],
        inputs_deleted=job.inputs.count(GONE),
        outputs_deleted=outputs.count(GONE),
        count=job.count,
        quoted_credits=job.quoted_credits,
        note=at.note,
        create_time=_time(job.create_time),
        etag=f'"{at.seq}"',
    )
    if not past:
        message.charged_credits = job.charged_credits
        message.failure_reason = job.failure_reason or ""
        if job.end_time is not None:
            message.end_time.CopyFrom(_time(job.end_time))
    return message


def receipt(removed: Removed) -> generation_pb2.GenerationReceipt:
    """What went with a generation."""
    return generation_pb2.GenerationReceipt(
        generation=generation_name(removed.job.id),
        delete_time=_time(removed.at),
        states=removed.states,
        attempts=removed.attempts,
        egress_kept=removed.egress,
        outputs_made=len(removed.job.outputs),
        vendor_copies=removed.copies,
        outputs_kept=[asset for asset in removed.job.outputs if asset != GONE],
    )


def outcome(generation: UUID, price: int | None) -> generation_pb2.Outcome:
    """What billing has to know; `price` is None while it is under way."""
    name = generation_name(generation)
    if price is None:
        return generation_pb2.Outcome(generation=name, state=generation_pb2.RUNNING)
    return generation_pb2.Outcome(generation=name, credits=price)


def egress(row: Egress) -> generation_pb2.Egress:
    """One sending."""
    message = generation_pb2.Egress(
        vendor=f"vendors/{row.vendor}",
        model=f"models/{row.model}",
        region=row.region,
        fields=row.fields_sent,
        assets=row.assets,
        size_bytes=row.size_bytes,
        sent_time=_time(row.sent_time),
        outcome=row.outcome,
        sandbox=row.sandbox,
    )
    if row.expire_time is not None:
        message.expire_time.CopyFrom(_time(row.expire_time))
    if row.purge_time is not None:
        message.purge_time.CopyFrom(_time(row.purge_time))
    return message


def model(name: str, entry: Model) -> generation_pb2.Model:
    """A model of the catalogue."""
    return generation_pb2.Model(
        name=f"models/{name}",
        title=entry.title,
        vendor=f"vendors/{entry.vendor}",
        tasks=[_task(task) for task in entry.tasks],
        credits=entry.credits or 0,
        max_count=entry.max_count,
        max_inputs=entry.max_inputs,
        input_types=entry.input_types,
    )


def vendor(route: Route, models: list[str]) -> generation_pb2.Vendor:
    """A vendor's card, with the ids of the models it runs here."""
    return generation_pb2.Vendor(
        name=f"vendors/{route.name}",
        title=route.card.title,
        retention=route.card.retention,
        trains_on_input=route.card.trains_on_input,
        region=route.card.region,
        terms_uri=route.card.terms_uri,
        models=[f"models/{model}" for model in models],
        sandbox=route.sandbox,
    )


def state_event(job: Job, step: Transition) -> bytes:
    """A state as a server-sent event (HTML standard, 9.2): its number is the id to resume after."""
    return f"id: {step.seq}\nevent: state\ndata: {_line(generation(job, step))}\n\n".encode()


def error_event(error: Exception) -> bytes:
    """What broke a stream that had begun, in band: by then no status can be sent any more."""
    said = error if isinstance(error, Refusal) else None
    data = {
        "reason": said.reason if said else "INTERNAL",
        "message": str(said) if said else "The stream broke; resume with Last-Event-ID.",
    }
    return f"event: error\ndata: {json.dumps(data)}\n\n".encode()


def _line(message: Message) -> str:
    # As the gateway prints JSON elsewhere: lowerCamelCase, empty fields included.
    return json_format.MessageToJson(message, indent=None, always_print_fields_with_no_presence=True)


def _task(task: str) -> generation_pb2.Task.ValueType:
    return generation_pb2.Task.Value(Task(task).value)


def _time(at: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(at)
    return stamp
