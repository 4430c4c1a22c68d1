"""What privacy does when time passes."""

from services.privacy.jobs.caseworker import Caseworker, Tools
from services.privacy.jobs.watch import Watch

__all__ = ["Caseworker", "Tools", "Watch"]
