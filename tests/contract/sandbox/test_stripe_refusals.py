"""What Stripe refuses the stand-in refuses, and faults are what the SDK knows as such."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import stripe

from tests.contract.sandbox.conftest import stripe_sdk

if TYPE_CHECKING:
    from .conftest import StripeSandbox

CUSTOMERS, SUBSCRIPTIONS, PRICES = "/v1/customers", "/v1/subscriptions", "/v1/prices"
LONG = "x" * 501


async def ask(bank: StripeSandbox, method: str, path: str, **asked: Any) -> Any:
    return await bank.client.raw_request_async(method, path, **asked)


@pytest.mark.parametrize(
    ("method", "path", "asked", "code", "param"),
    [
        ("post", CUSTOMERS, {"nickname": "x"}, "parameter_unknown", "nickname"),
        ("post", CUSTOMERS, {"address": {"planet": "x"}}, "parameter_unknown", "address[planet]"),
        ("post", CUSTOMERS, {"address": "here"}, None, "address"),
        ("post", CUSTOMERS, {"email": "nobody"}, "email_invalid", "email"),
        ("post", CUSTOMERS, {"metadata": "x"}, None, "metadata"),
        ("post", CUSTOMERS, {"metadata": {"key": LONG}}, None, "metadata[key]"),
        ("post", CUSTOMERS, {"metadata": {"k" * 41: "x"}}, None, f"metadata[{'k' * 41}]"),
        ("post", CUSTOMERS, {"payment_method": "pm_none"}, "resource_missing", "payment_method"),
        ("get", CUSTOMERS, {"limit": 0}, "parameter_invalid_integer", "limit"),
        ("get", CUSTOMERS, {"limit": "many"}, "parameter_invalid_integer", "limit"),
        ("get", CUSTOMERS, {"starting_after": "cus_none"}, "resource_missing", "starting_after"),
        ("get", "/v1/customers/search", {}, "parameter_missing", "query"),
        ("post", "/v1/products", {}, "parameter_missing", "name"),
        ("post", "/v1/products", {"name": ""}, "parameter_invalid_empty", "name"),
        ("post", "/v1/products", {"name": "x", "active": "perhaps"}, None, "active"),
        ("post", PRICES, {"unit_amount": 1}, "parameter_missing", "currency"),
        ("post", PRICES, {"currency": "eur", "unit_amount": 1}, "parameter_missing", "product"),
        (
            "post",
            PRICES,
            {"currency": "eur", "unit_amount": 1, "recurring": {"interval": "eon"}, "product": "prod_none"},
            None,
            "recurring[interval]",
        ),
        (
            "post",
            PRICES,
            {"currency": "eur", "unit_amount": 1, "product": "prod_none"},
            "resource_missing",
            "product",
        ),
        ("post", SUBSCRIPTIONS, {"items": [{"price": "price_none"}]}, "parameter_missing", "customer"),
        ("post", SUBSCRIPTIONS, {"customer": "cus_none", "items": [{}]}, "parameter_missing", "items"),
        (
            "post",
            SUBSCRIPTIONS,
            {"customer": "cus_none", "items": [{"quantity": 1}]},
            "parameter_missing",
            "items[0][price]",
        ),
        (
            "post",
            SUBSCRIPTIONS,
            {"customer": "cus_none", "items": [{"price": "price_none"}]},
            "resource_missing",
            "customer",
        ),
        ("get", SUBSCRIPTIONS, {"customer": "cus_none"}, "resource_missing", "customer"),
        ("get", SUBSCRIPTIONS, {"status": "alive"}, None, "status"),
        ("get", SUBSCRIPTIONS, {"expand": ["data.customer"]}, "parameter_unknown", "expand"),
        ("get", "/v1/invoices", {"customer": "cus_none"}, "resource_missing", "customer"),
    ],
)
async def test_a_wrong_parameter_is_a_bad_request(
    bank: StripeSandbox, method: str, path: str, asked: dict[str, Any], code: str | None, param: str
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await ask(bank, method, path, **asked)
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, code, param)
    assert refused.value.error is not None
    assert refused.value.error.type == "invalid_request_error"
    assert (refused.value.request_id or "").startswith("req_")


@pytest.mark.parametrize("kind", ["customers", "subscriptions", "invoices", "prices", "products"])
async def test_what_is_not_there_is_not_found(bank: StripeSandbox, kind: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await ask(bank, "get", f"/v1/{kind}/none")
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    assert str(refused.value.user_message).startswith("No such ")


async def test_nobody_subscribes_without_a_card_and_none_that_is_declined(bank: StripeSandbox) -> None:
    price = await ask(
        bank, "post", PRICES, currency="eur", unit_amount=900, recurring={"interval": "month"},
        product_data={"name": "Credits"},
    )  # fmt: skip
    price_id = price.data["id"]
    poor = await bank.client.v1.customers.create_async({})
    asked: Any = {"customer": poor.id, "items": [{"price": price_id}]}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await bank.client.v1.subscriptions.create_async(asked)
    assert (refused.value.http_status, refused.value.code) == (400, "resource_missing")
    bad = await bank.client.v1.customers.create_async(
        {
            "payment_method": "pm_card_chargeCustomerFail",
            "invoice_settings": {"default_payment_method": "pm_card_chargeCustomerFail"},
        }
    )
    asked |= {"customer": bad.id, "payment_behavior": "error_if_incomplete"}
    with pytest.raises(stripe.CardError) as declined:
        await bank.client.v1.subscriptions.create_async(asked)
    assert declined.value.code == "card_declined"
    assert not (await bank.client.v1.invoices.list_async({"customer": bad.id})).data


async def test_a_deleted_customer_does_not_subscribe(bank: StripeSandbox) -> None:
    gone = await bank.client.v1.customers.create_async({})
    await bank.client.v1.customers.delete_async(gone.id)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await ask(bank, "post", SUBSCRIPTIONS, customer=gone.id, items=[{"price": "price_none"}])
    assert (refused.value.code, refused.value.param) == ("resource_missing", "customer")


async def test_a_wrong_key_is_not_shown_again(bank: StripeSandbox) -> None:
    port = int(bank.url.rpartition(":")[2])
    async with stripe_sdk(port, "sk_test_somebody-elses-key") as stranger:
        with pytest.raises(stripe.AuthenticationError) as refused:
            await stranger.v1.customers.list_async()
    assert "somebody" not in str(refused.value)


async def test_another_version_of_the_api_is_refused(bank: StripeSandbox) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="Invalid Stripe API version: 2020-08-27"):
        await bank.client.v1.customers.list_async(options={"stripe_version": "2020-08-27"})


async def test_json_is_not_understood(bank: StripeSandbox) -> None:
    async with bank.http.post(f"{bank.url}/v1/customers", json={"name": "x"}) as answer:
        assert answer.status == 400
        assert "application/x-www-form-urlencoded" in (await answer.json())["error"]["message"]


async def test_an_unknown_path_is_not_found_in_stripes_shape(bank: StripeSandbox) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=r"Unrecognized request URL \(POST: /v1/refunds\)"):
        await ask(bank, "post", "/v1/refunds")


@pytest.mark.parametrize(
    ("kind", "exception", "status"),
    [
        ("403", stripe.PermissionError, 403),
        ("409", stripe.APIError, 409),
        ("429", stripe.RateLimitError, 429),
        ("503", stripe.APIError, 503),
    ],
)
async def test_a_fault_before_anything_is_done_is_not_repeated_under_the_same_key(
    bank: StripeSandbox, kind: str, exception: type[stripe.StripeError], status: int
) -> None:
    await bank.switch_on({"kind": kind, "match": "POST /v1/customers"})
    options = {"idempotency_key": f"after-{kind}"}
    with pytest.raises(exception) as refused:
        await bank.client.v1.customers.create_async({}, options)
    assert refused.value.http_status == status
    assert (await bank.client.v1.customers.create_async({}, options)).id.startswith("cus_")


@pytest.mark.parametrize(("kind", "made"), [("500", 0), ("accepted_500", 1)])
async def test_a_failure_is_answered_again_under_the_same_key_whatever_was_done(
    bank: StripeSandbox, kind: str, made: int
) -> None:
    await bank.switch_on({"kind": kind})
    asked, options = {"metadata": {"wallet": f"of-{kind}"}}, {"idempotency_key": f"after-{kind}"}
    for _ in range(2):
        with pytest.raises(stripe.APIError) as failed:
            await bank.client.v1.customers.create_async(asked, options)
        assert failed.value.http_status == 500
    query = {"query": f"metadata['wallet']:'of-{kind}'"}
    assert len((await bank.client.v1.customers.search_async(query)).data) == made


async def test_a_dropped_request_did_nothing_and_a_lost_answer_did(bank: StripeSandbox) -> None:
    for kind, made in (("drop", 0), ("accepted_answer_lost", 1)):
        await bank.switch_on({"kind": kind})
        asked, options = {"metadata": {"wallet": f"of-{kind}"}}, {"idempotency_key": f"after-{kind}"}
        with pytest.raises(stripe.APIConnectionError):
            await bank.client.v1.customers.create_async(asked, options)
        query = {"query": f"metadata['wallet']:'of-{kind}'"}
        assert len((await bank.client.v1.customers.search_async(query)).data) == made
        again = await bank.client.v1.customers.create_async(asked, options)
        assert again.last_response.headers.get("Idempotent-Replayed") == ("true" if made else None)


async def test_a_key_whose_request_is_under_way_is_in_use(bank: StripeSandbox) -> None:
    await bank.switch_on({"kind": "delay", "seconds": 0.3})
    options = {"idempotency_key": "in-use"}
    answers = await asyncio.gather(
        *(bank.client.v1.customers.create_async({}, options) for _ in range(2)), return_exceptions=True
    )
    (refused,) = [each for each in answers if isinstance(each, stripe.APIError)]
    assert refused.http_status == 409


async def test_a_200_may_hold_no_json(bank: StripeSandbox) -> None:
    await bank.switch_on({"kind": "garbage"})
    with pytest.raises(stripe.APIError, match="Invalid response body"):
        await bank.client.v1.customers.list_async()


async def test_a_fault_meets_only_the_request_it_is_meant_for(bank: StripeSandbox) -> None:
    await bank.switch_on({"kind": "503", "match": "unlucky", "times": None})
    await bank.client.v1.customers.create_async({"name": "lucky"})
    for _ in range(2):
        with pytest.raises(stripe.APIError):
            await bank.client.v1.customers.create_async({"name": "unlucky"})


@pytest.mark.parametrize("wanted", [{"kind": "no-such"}, {"kind": "429", "times": 0}, {"when": "now"}])
async def test_a_fault_that_does_not_exist_is_refused(bank: StripeSandbox, wanted: dict[str, object]) -> None:
    async with bank.http.put(f"{bank.url}/sandbox/faults", json=[wanted]) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == "invalid_fault"
