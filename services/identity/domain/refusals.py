"""Every no of this service, and what the person can do about it."""

from __future__ import annotations

from chassis.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unauthenticated,
)


class AdultsOnly(FailedPrecondition):
    """The person did not say to be 18 or older."""

    sentence = "Crafiq is for people who are 18 or older. If you are, send `isAdult: true`."


class PolicyVersionNotCurrent(FailedPrecondition):
    """What was accepted is not what is in force."""

    sentence = (
        "Read what GET /v1/policy shows and accept its versions: "
        "policy {policyVersion} and terms {termsVersion} are in force."
    )


class UsernameTaken(AlreadyExists):
    """Somebody has it."""

    sentence = "This user name is taken; choose another one, or none."


class NameNotAllowed(InvalidArgument):
    """A name has characters that could deceive those who read it."""

    sentence = "A name may not have control characters or marks that turn the reading direction."


class VerificationTokenInvalid(FailedPrecondition):
    """Forged, used up or too old."""

    sentence = (
        "This confirmation link is not valid, or not any more. "
        "Ask for another one with POST /v1/accounts:resendVerification, or sign up again."
    )


class SignUpContested(FailedPrecondition):
    """Several sign-ups wait for an address, and their mails look alike: the token alone does not
    say that whoever opens the link also chose the password."""

    sentence = (
        "More than one sign-up waits for this address: send the password you chose together with the token."
    )


class InvalidCredentials(Unauthenticated):
    """Wrong address, wrong password, no such account, or one never confirmed: never said which."""

    sentence = (
        "Address or password are wrong, or the address is not confirmed yet: "
        "open the link in the mail, or ask for it again."
    )


class TooManyAttempts(ResourceExhausted):
    """Too many guesses at a password: of this address, whether it is known or not, or of this account."""

    sentence = "Too many attempts; try again in {seconds} seconds."


class PasswordChecksBusy(ResourceExhausted):
    """More passwords are waiting to be checked than we let wait."""

    sentence = "Many people are signing in right now; try again in a second."


class RefreshTokenInvalid(Unauthenticated):
    """Unknown, expired, or of a session that ended."""

    sentence = "This refresh token is not valid, or not any more; sign in again with POST /v1/sessions."


class SessionEnded(Unauthenticated):
    """The access token is good, its session is over."""

    sentence = "This session has ended; sign in again with POST /v1/sessions."


class SessionNotFound(NotFound):
    """Not there, or not the caller's."""

    sentence = "There is no session {session} of yours; GET /v1/sessions lists them."


class EtagMismatch(Aborted):
    """Somebody else was faster."""

    sentence = "Your account changed in between; read it with GET /v1/accounts/me and send its new etag."


class UpdateMaskInvalid(InvalidArgument):
    """The mask names what cannot be changed here."""

    sentence = "`updateMask` may name `username` and `displayName`; `{path}` cannot be changed here."


class ReauthenticationNeeded(FailedPrecondition):
    """What cannot be undone needs a fresh proof."""

    sentence = (
        "Prove again that it is you: POST /v1/sessions:reauthenticate gives a reauthToken,"
        " which is good for five minutes and for this session."
    )
