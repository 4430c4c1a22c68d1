"""Everything this service says no to."""

from __future__ import annotations

from chassis.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, Unauthenticated


class GenerationNotFound(NotFound):
    """Another person's generation is not there either."""

    sentence = "There is no generation {generation} of yours; GET /v1/generations lists what there is."


class ModelUnknown(InvalidArgument):
    """The catalogue has no such model."""

    sentence = "There is no model {model}; GET /v1/models lists what there is."


class ModelShutDown(FailedPrecondition):
    """Its vendor ended it."""

    sentence = "The model {model} was ended by its vendor; GET /v1/models lists what can be used now."


class ModelUnpriced(FailedPrecondition):
    """Nobody can be charged what nobody knows: no price, no order."""

    sentence = "The model {model} has no price yet and can't be used; GET /v1/models lists what can."


class TaskUnsupported(InvalidArgument):
    """The model does other things."""

    sentence = "The model {model} does not do {task}; GET /v1/models says what each one does."


class TaskUnavailable(FailedPrecondition):
    """No model does it."""

    sentence = "No model does {task} at present; GET /v1/models says what can be made."


class PromptRequired(InvalidArgument):
    """Every task so far begins with words."""

    sentence = "{task} needs words: say in `prompt` what to make."


class PromptUnreadable(InvalidArgument):
    """Control characters can't be stored and mean nothing to a vendor."""

    sentence = "The prompt has control characters in it; send plain text, line breaks and tabs included."


class InputRequired(InvalidArgument):
    """A task from pictures without a picture."""

    sentence = "{task} needs at least one Input: name an asset of yours in `inputAssets`."


class InputUnwanted(InvalidArgument):
    """A task from words with a picture."""

    sentence = "{task} takes no Input; leave `inputAssets` out, or ask for a task that takes some."


class InputsTooMany(InvalidArgument):
    """More than the model takes."""

    sentence = "The model {model} takes at most {most} Inputs in one order; leave some out."


class InputsTooLarge(InvalidArgument):
    """More bytes than the model takes."""

    sentence = "The model {model} takes at most {most} MB of Input in one order; choose smaller Inputs."


class InputTypeUnsupported(InvalidArgument):
    """A type that the model does not read."""

    sentence = "The model {model} can't read {asset}: it is {type}, and {wanted} is wanted."


class CountTooLarge(InvalidArgument):
    """More Outputs than the model makes in one order."""

    sentence = "The model {model} makes at most {most} Outputs in one order; ask for fewer, or order again."


class ParametersRefused(InvalidArgument):
    """Parameters that the model does not offer, or with values it does not take."""

    sentence = "The model {model} does not take these parameters; it offers {offered}."


class OrderEnded(FailedPrecondition):
    """The request id was used for an order that did not come about."""

    sentence = "The order with this requestId did not come about; order again with a new requestId."


class TransitionForbidden(FailedPrecondition):
    """A job can't go from here to there."""

    sentence = "A generation that is {state} can't become {target}."


class LastEventIdUnreadable(InvalidArgument):
    """Not the id of an event of ours."""

    sentence = "`Last-Event-ID` is the number of the last event that arrived; send that, or nothing."


class StreamsTooMany(ResourceExhausted):
    """One person, many open streams."""

    sentence = "You are watching {limit} generations already; close a stream, or read with GET."


class StateNumberUnknown(InvalidArgument):
    """Not the number of a state that was."""

    sentence = "`afterSeq` is the number of the last state that arrived, from its etag; send that, or 0."


class CredentialEnded(Unauthenticated):
    """While a stream was open."""

    sentence = "Your session has to be refreshed; do that, and go on after the last state that arrived."


class GenerationUnderWay(FailedPrecondition):
    """Deleting it now would lose what is paid for."""

    sentence = "{generation} has not ended: POST /v1/{generation}:cancel first, or wait for its end."


class QueueFull(ResourceExhausted):
    """One person, many waiting jobs."""

    sentence = (
        "{limit} generations of yours are waiting already; order again when some have begun, or cancel some."
    )
