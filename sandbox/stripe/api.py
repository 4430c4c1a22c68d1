"""What is done for each request, and the one way in which all of them are answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, NamedTuple

from aiohttp import web

from sandbox.stripe import errors, forms, objects, parameters
from sandbox.stripe.answers import Answer, Answers
from sandbox.stripe.customers import Customers
from sandbox.stripe.journal import Received
from sandbox.stripe.misbehaviour import Misbehaviour
from sandbox.stripe.parameters import Reader
from sandbox.stripe.store import Object, Store
from sandbox.stripe.subscriptions import Subscriptions

RECEIVED: web.RequestKey[Received] = web.RequestKey("received", Received)


class Operation(NamedTuple):
    """One endpoint: its parameters, and what it does with the name in its path (or "") and with them."""

    method: str
    path: str
    reader: Reader
    act: Callable[[str, Object], Object]


class Api:
    """Everything below /v1."""

    def __init__(self, store: Store, misbehaviour: Misbehaviour) -> None:
        self._store, self._misbehaviour = store, misbehaviour
        self.answers = Answers(store)
        self.subscriptions = Subscriptions(store)
        self._customers = Customers(store, self.subscriptions)

    def routes(self) -> list[web.RouteDef]:
        """All endpoints that are played."""

        def handler(operation: Operation) -> Any:
            async def answer(request: web.Request) -> web.StreamResponse:
                return await self._answer(request, operation)

            return answer

        every = [*self._about_customers(), *self._about_subscriptions(), *self._about_prices()]
        return [web.route(each.method, each.path, handler(each)) for each in every]

    def _about_customers(self) -> list[Operation]:
        of, one, nothing = self._customers, "/v1/customers/{id}", parameters.NOTHING
        return [
            Operation("POST", "/v1/customers", parameters.CUSTOMER_CREATE, lambda _, asked: of.create(asked)),
            Operation("GET", "/v1/customers", parameters.CUSTOMER_LIST, lambda _, asked: of.page(asked)),
            Operation(
                "GET", "/v1/customers/search", parameters.CUSTOMER_SEARCH, lambda _, asked: of.search(asked)
            ),
            Operation("GET", one, nothing, lambda name, _: of.retrieve(name)),
            Operation("POST", one, parameters.CUSTOMER_UPDATE, of.update),
            Operation("DELETE", one, nothing, lambda name, _: of.delete(name)),
            Operation(
                "POST", "/v1/payment_methods/{id}/attach", parameters.PAYMENT_METHOD_ATTACH, of.attach_card
            ),
        ]

    def _about_subscriptions(self) -> list[Operation]:
        of, every, one = self.subscriptions, "/v1/subscriptions", "/v1/subscriptions/{id}"
        store, nothing = self._store, parameters.NOTHING
        return [
            Operation("POST", every, parameters.SUBSCRIPTION_CREATE, lambda _, asked: of.create(asked)),
            Operation("GET", every, parameters.SUBSCRIPTION_LIST, lambda _, asked: of.page(asked)),
            Operation("GET", one, nothing, lambda name, _: store.get("subscription", name)),
            Operation("POST", one, parameters.SUBSCRIPTION_UPDATE, of.update),
            Operation("DELETE", one, parameters.SUBSCRIPTION_CANCEL, of.cancel),
            Operation("GET", "/v1/invoices", parameters.INVOICE_LIST, lambda _, asked: self._invoices(asked)),
            Operation("GET", "/v1/invoices/{id}", nothing, lambda name, _: store.get("invoice", name)),
        ]

    def _about_prices(self) -> list[Operation]:
        store, nothing = self._store, parameters.NOTHING
        return [
            Operation(
                "POST", "/v1/products", parameters.PRODUCT_CREATE, lambda _, asked: self._product(asked)
            ),
            Operation("GET", "/v1/products/{id}", nothing, lambda name, _: store.get("product", name)),
            Operation("POST", "/v1/prices", parameters.PRICE_CREATE, lambda _, asked: self._price(asked)),
            Operation("GET", "/v1/prices/{id}", nothing, lambda name, _: store.get("price", name)),
        ]

    def _product(self, asked: Object) -> Object:
        store = self._store
        return store.put(objects.product(store.new_id("product"), store.now, asked))

    def _price(self, asked: Object) -> Object:
        if "product_data" in asked:
            asked = {**asked, "product": self._product(asked["product_data"])["id"]}
        if "product" not in asked:
            raise errors.missing("product")
        self._store.get("product", asked["product"], "product")
        return self._store.put(objects.price(self._store.new_id("price"), self._store.now, asked))

    def _invoices(self, asked: Object) -> Object:
        if "customer" in asked:
            self._store.get("customer", asked["customer"], "customer")

        def wanted(each: Object) -> bool:
            details = each["parent"]["subscription_details"]
            found = {
                "customer": each["customer"],
                "status": each["status"],
                "subscription": details["subscription"],
            }
            return all(asked.get(key, value) == value for key, value in found.items())

        return self._store.page("invoice", asked, wanted)

    async def _answer(self, request: web.Request, operation: Operation) -> web.StreamResponse:
        received = request[RECEIVED]
        received.parameters = await forms.read(request)
        if self._misbehaviour.take(received, "drop"):
            return _abort(request)
        self._misbehaviour.refuse(received)
        key = received.idempotency_key if request.method == "POST" else None
        if key is not None:
            earlier = self.answers.earlier(key, request.path, received.parameters)
            if earlier is not None:
                received.replayed = True
                headers = {"Idempotent-Replayed": "true", "Idempotency-Key": key}
                return await self._sent(request, earlier, headers)
        asked = operation.reader("", received.parameters)
        with self.answers.under_way(key):
            answer = self._done(request, operation, asked)
            return await self._sent(request, answer, {"Idempotency-Key": key} if key else {})

    def _done(self, request: web.Request, operation: Operation, asked: Object) -> Answer:
        """Once this is begun, the answer is saved, whatever it is."""
        received = request[RECEIVED]
        failure = self._misbehaviour.take(received, "500", "accepted_500")
        try:
            if failure is not None and failure.kind == "500":
                raise errors.server_error(received.request_id)
            answer = 200, json.dumps(operation.act(request.match_info.get("id", ""), asked))
            if failure is not None:
                raise errors.server_error(received.request_id)
        except errors.ApiError as error:
            answer = error.status, json.dumps(error.body)
        if request.method == "POST" and received.idempotency_key is not None:
            self.answers.save(received.idempotency_key, request.path, received.parameters, answer)
        if request.method != "GET":
            self._store.save()
        return answer

    async def _sent(
        self, request: web.Request, answer: Answer, headers: dict[str, str]
    ) -> web.StreamResponse:
        received = request[RECEIVED]
        delay = self._misbehaviour.take(received, "delay")
        if delay is not None:
            await asyncio.sleep(delay.seconds)
        if self._misbehaviour.take(received, "accepted_answer_lost"):
            return _abort(request)
        if self._misbehaviour.take(received, "garbage"):
            return web.Response(text="<html>upstream said something else</html>", content_type="text/html")
        return _response(answer, headers)


def _response(answer: Answer, headers: dict[str, str]) -> web.Response:
    status, body = answer
    return web.Response(status=status, text=body, content_type="application/json", headers=headers)


def _abort(request: web.Request) -> web.Response:
    """No answer at all: the connection breaks."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
