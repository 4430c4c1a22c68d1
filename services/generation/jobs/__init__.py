"""What happens when nobody is calling: jobs are carried out, and what was left lying is picked up."""

from services.generation.jobs.delivery import Delivery
from services.generation.jobs.purging import VendorCopies
from services.generation.jobs.queue import Queue
from services.generation.jobs.recovery import periodic
from services.generation.jobs.work import Work

__all__ = ["Delivery", "Queue", "VendorCopies", "Work", "periodic"]
