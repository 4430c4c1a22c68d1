"""What all rows of identity have in common: the base, and the declarations of what they hold."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import DateTime

from promises.inventory import (
    ACCOUNT,
    DELETE,
    RETAIN,
    Base,
    Basis,
    Category,
    Declaration,
    Keep,
    Purpose,
    inventory,
)

MOMENT = DateTime(timezone=True)


class Row(Base, registry=inventory("identity", subjects="accounts.account")):
    """What identity keeps. The account itself is the subject here: made at sign-up, announced once
    its address is confirmed."""


EMAIL = Declaration(Category.EMAIL, Purpose.ACCOUNT, Basis.CONTRACT, ACCOUNT, DELETE)
NAME = Declaration(Category.NAME, Purpose.ACCOUNT, Basis.CONTRACT, ACCOUNT, DELETE)
PASSWORD = Declaration(Category.CREDENTIAL, Purpose.AUTHENTICATION, Basis.CONTRACT, ACCOUNT, DELETE)
MILESTONE = Declaration(Category.ACTIVITY, Purpose.ACCOUNT, Basis.CONTRACT, ACCOUNT, DELETE)

DAY = timedelta(days=1)
LINK = Declaration(
    Category.CREDENTIAL, Purpose.ACCOUNT, Basis.CONTRACT, Keep.until("the link expires", DAY), DELETE
)
_SENT = Keep.until("the mail is sent", DAY)
RECIPIENT = Declaration(Category.EMAIL, Purpose.ACCOUNT, Basis.CONTRACT, _SENT, DELETE)
MAILED_TOKEN = Declaration(Category.CREDENTIAL, Purpose.ACCOUNT, Basis.CONTRACT, _SENT, DELETE)
MAILED_DEVICE = Declaration(Category.DEVICE, Purpose.SECURITY, Basis.LEGITIMATE_INTERESTS, _SENT, DELETE)

_SESSION = Keep.until("the session ends", timedelta(days=90))
SESSION_TOKEN = Declaration(Category.CREDENTIAL, Purpose.AUTHENTICATION, Basis.CONTRACT, _SESSION, DELETE)
SESSION_DEVICE = Declaration(Category.DEVICE, Purpose.SECURITY, Basis.LEGITIMATE_INTERESTS, _SESSION, DELETE)
SESSION_USE = Declaration(Category.ACTIVITY, Purpose.SECURITY, Basis.LEGITIMATE_INTERESTS, _SESSION, DELETE)

# Policy section 9, and decision 12: the full address for 30 days, the rows for 12 months at most.
LOGGED_FOR = timedelta(days=365)
ADDRESS_COARSE_AFTER = timedelta(days=30)
_LOGGED = Keep.days(LOGGED_FOR.days)
# Policy, section 9. It ends with the pepper of the month in which it began.
FRAUD = Keep.by_month("to prevent fraud, abuse, and chargebacks", 6)
LOGGED_EVENT = Declaration(
    Category.ACTIVITY, Purpose.SECURITY, Basis.LEGITIMATE_INTERESTS, _LOGGED, RETAIN, afterwards=FRAUD
)
LOGGED_DEVICE = Declaration(Category.DEVICE, Purpose.SECURITY, Basis.LEGITIMATE_INTERESTS, _LOGGED, DELETE)
LOGGED_ADDRESS = Declaration(
    Category.DEVICE,
    Purpose.SECURITY,
    Basis.LEGITIMATE_INTERESTS,
    Keep("full for 30 days, then /24 or /48; 365 days in all", LOGGED_FOR),
    RETAIN,
    afterwards=FRAUD,
)
_RETAINED = (Purpose.SECURITY, Basis.LEGITIMATE_INTERESTS, FRAUD, RETAIN)
RETAINED_EVENT = Declaration(Category.ACTIVITY, *_RETAINED)
RETAINED_PLACE = Declaration(Category.DEVICE, *_RETAINED)
RETAINED_NAME = Declaration(Category.EMAIL, *_RETAINED)
FAREWELL = Keep.until("the mail that confirms the deletion is sent", DAY)
RETAINED_RECIPIENT = Declaration(Category.EMAIL, Purpose.ACCOUNT, Basis.CONTRACT, FAREWELL, RETAIN)
