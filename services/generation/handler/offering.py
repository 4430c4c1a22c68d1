"""What can be made, by whom, and what it costs."""

from __future__ import annotations

from crafiq.generation.v1 import generation_pb2

from chassis.rpc import Call
from services.generation.handler import rendering
from services.generation.handler.desk import At


class Offering(At):
    """The catalogue, as far as it is live."""

    async def ListModels(
        self, _request: generation_pb2.ListModelsRequest, _call: Call
    ) -> generation_pb2.ListModelsResponse:
        """The models that can be ordered now."""
        usable = self._desk.catalogue.usable(self._desk.jobs.now())
        return generation_pb2.ListModelsResponse(models=[rendering.model(*entry) for entry in usable.items()])

    async def ListVendors(
        self, _request: generation_pb2.ListVendorsRequest, _call: Call
    ) -> generation_pb2.ListVendorsResponse:
        """Those who receive Input, rendered from the live routes."""
        runs: dict[str, list[str]] = {}
        for name, model in self._desk.catalogue.usable(self._desk.jobs.now()).items():
            runs.setdefault(model.vendor, []).append(name)
        vendors = [rendering.vendor(self._desk.routes[name], models) for name, models in runs.items()]
        return generation_pb2.ListVendorsResponse(vendors=vendors)
