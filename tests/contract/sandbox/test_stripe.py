"""The stand-in does what Stripe does, as Stripe's own SDK sees it."""

from __future__ import annotations

import ast
import asyncio
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import aiohttp
import pytest
import stripe

from sandbox.stripe import objects, parameters
from tests.contract.sandbox.conftest import stripe_process, stripe_sdk
from tests.support import free_ports

if TYPE_CHECKING:
    from .conftest import StripeSandbox

VISA = {"payment_method": "pm_card_visa", "invoice_settings": {"default_payment_method": "pm_card_visa"}}
KINDS = {
    "customer": stripe.Customer,
    "product": stripe.Product,
    "price": stripe.Price,
    "subscription": stripe.Subscription,
    "subscription_item": stripe.SubscriptionItem,
    "invoice": stripe.Invoice,
    "line_item": stripe.InvoiceLineItem,
    "plan": stripe.Plan,
    "payment_method": stripe.PaymentMethod,
}


async def a_price(client: stripe.StripeClient, cents: int = 900, **more: Any) -> str:
    asked = {"currency": "eur", "unit_amount": cents, "product_data": {"name": "Credits"}, **more}
    price = await client.v1.prices.create_async({"recurring": {"interval": "month"}, **asked})
    return price.id


async def a_subscription(client: stripe.StripeClient, customer: str, **more: Any) -> stripe.Subscription:
    items = [{"price": await a_price(client), "quantity": 2}]
    return await client.v1.subscriptions.create_async({"customer": customer, "items": items, **more})


async def a_customer(client: stripe.StripeClient, **more: Any) -> str:
    return (await client.v1.customers.create_async({**VISA, **more})).id


def test_the_version_that_is_spoken_is_the_one_the_sdk_was_made_for() -> None:
    assert stripe.api_version == objects.VERSION


async def test_a_customer_is_made_found_changed_and_listed(bank: StripeSandbox) -> None:
    customers = bank.client.v1.customers
    made = await customers.create_async({"metadata": {"wallet": "w1", "plan": "x"}, "name": "Ada"})
    assert (made.id[:4], made.livemode, made.metadata["wallet"]) == ("cus_", False, "w1")
    changed = await customers.update_async(made.id, {"email": "ada@example.com", "metadata": {"plan": ""}})
    assert (changed.name, changed.metadata.to_dict()) == ("Ada", {"wallet": "w1"})
    assert (await customers.retrieve_async(made.id)).email == "ada@example.com"
    found = await customers.list_async({"email": "ada@example.com", "limit": 1})
    assert [each.id for each in found.data] == [made.id]
    assert [each.id for each in (await search(bank, "w1")).data] == [made.id]


async def search(bank: StripeSandbox, wallet: str) -> Any:
    return await bank.client.v1.customers.search_async({"query": f"metadata['wallet']:'{wallet}'"})


async def test_a_deleted_customer_is_remembered_as_deleted_and_nothing_else(bank: StripeSandbox) -> None:
    customers = bank.client.v1.customers
    made = await customers.create_async({"metadata": {"wallet": "w2"}, "email": "gone@example.com"})
    answer = await customers.delete_async(made.id)
    assert answer.deleted is True
    assert (await customers.retrieve_async(made.id)).to_dict() == {
        "id": made.id, "object": "customer", "deleted": True,
    }  # fmt: skip
    assert not (await customers.list_async({"email": "gone@example.com"})).data
    assert not (await search(bank, "w2")).data
    for again in (customers.delete_async(made.id), customers.update_async(made.id, {"name": "x"})):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            await again
        assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")


async def test_a_subscription_begins_with_an_invoice_that_is_paid(bank: StripeSandbox) -> None:
    customer = await a_customer(bank.client, email="payer@example.com")
    made = await a_subscription(bank.client, customer)
    assert (made.status, made["items"].data[0].price.unit_amount) == ("active", 900)
    assert made["items"].data[0].current_period_end - made.start_date == 30 * 86_400
    invoices = await bank.client.v1.invoices.list_async({"customer": customer})
    (invoice,) = invoices.data
    assert (invoice.id, invoice.status, invoice.amount_paid) == (made.latest_invoice, "paid", 1800)
    assert invoice.parent.subscription_details.subscription == made.id
    assert invoice.customer_email == "payer@example.com"


async def test_a_card_is_attached_pays_and_goes_with_its_customer(bank: StripeSandbox) -> None:
    customer = (await bank.client.v1.customers.create_async({})).id
    card = await bank.client.v1.payment_methods.attach_async("pm_card_mastercard", {"customer": customer})
    assert (card.customer, card.card.last4) == (customer, "4444")
    made = await a_subscription(bank.client, customer, default_payment_method=card.id)
    assert made.status == "active"
    await bank.client.v1.customers.delete_async(customer)
    with pytest.raises(stripe.InvalidRequestError) as gone:
        await bank.client.v1.payment_methods.attach_async(card.id, {"customer": customer})
    assert gone.value.code == "resource_missing"


async def test_an_invoice_stays_when_its_customer_is_deleted(bank: StripeSandbox) -> None:
    customer = await a_customer(bank.client)
    made = await a_subscription(bank.client, customer)
    await bank.client.v1.customers.delete_async(customer)
    (invoice,) = (await bank.client.v1.invoices.list_async({"customer": customer})).data
    assert (invoice.customer, invoice.amount_paid, invoice.customer_email) == (customer, 1800, None)
    ended = await bank.client.v1.subscriptions.retrieve_async(made.id)
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "cancellation_requested")
    listed = await bank.client.v1.subscriptions.list_async({"customer": customer, "status": "canceled"})
    assert [each.id for each in listed.data] == [made.id]


async def test_a_cancelled_subscription_stays_cancelled(bank: StripeSandbox) -> None:
    subscriptions = bank.client.v1.subscriptions
    customer = await a_customer(bank.client)
    made = await a_subscription(bank.client, customer)
    answer = await subscriptions.cancel_async(made.id, {"prorate": False, "invoice_now": False})
    assert (answer.status, answer.ended_at is not None) == ("canceled", True)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await subscriptions.cancel_async(made.id)
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")
    with pytest.raises(stripe.InvalidRequestError):
        await subscriptions.update_async(made.id, {"cancel_at_period_end": True})
    assert await bank.become(made.id, "active") == 400
    assert (await subscriptions.retrieve_async(made.id)).status == "canceled"
    assert not (await subscriptions.list_async({"customer": customer})).data
    for status in ("all", "ended", "canceled"):
        found = await subscriptions.list_async({"customer": customer, "status": status})
        assert [each.id for each in found.data] == [made.id]


@pytest.mark.parametrize(
    ("asked", "customer", "status", "invoice"),
    [
        ({}, VISA, "active", "paid"),
        ({"trial_period_days": 7}, {}, "trialing", "paid"),
        ({"payment_behavior": "default_incomplete"}, {}, "incomplete", "open"),
        (
            {},
            {
                "payment_method": "pm_card_chargeCustomerFail",
                "invoice_settings": {"default_payment_method": "pm_card_chargeCustomerFail"},
            },
            "incomplete",
            "open",
        ),
    ],
)
async def test_how_a_subscription_begins_depends_on_how_it_is_paid(
    bank: StripeSandbox, asked: dict[str, Any], customer: dict[str, Any], status: str, invoice: str
) -> None:
    payer = await bank.client.v1.customers.create_async(customer)
    made = await a_subscription(bank.client, payer.id, **asked)
    assert made.status == status
    assert (await bank.client.v1.invoices.retrieve_async(made.latest_invoice)).status == invoice


async def test_time_and_banks_move_a_subscription_as_they_can(bank: StripeSandbox) -> None:
    made = await a_subscription(bank.client, await a_customer(bank.client))
    for status, answer in [("past_due", 200), ("incomplete", 400), ("unpaid", 200), ("canceled", 200)]:
        assert await bank.become(made.id, status) == answer
    open_one = await a_subscription(
        bank.client, await a_customer(bank.client), payment_behavior="default_incomplete"
    )
    assert await bank.become(open_one.id, "incomplete_expired") == 200
    assert (await bank.client.v1.invoices.retrieve_async(open_one.latest_invoice)).status == "void"


async def test_lists_come_in_pages_newest_first(bank: StripeSandbox) -> None:
    customer, price = await a_customer(bank.client), await a_price(bank.client)
    names = []
    for _ in range(5):
        asked = {"customer": customer, "items": [{"price": price}]}
        names.append((await bank.client.v1.subscriptions.create_async(asked)).id)
    first = await bank.client.v1.subscriptions.list_async({"customer": customer, "limit": 2})
    assert (first.has_more, [each.id for each in first.data]) == (True, names[:2:-1])
    walked = [each.id async for each in first.auto_paging_iter()]
    assert walked == names[::-1]
    back = await bank.client.v1.subscriptions.list_async(
        {"customer": customer, "limit": 2, "ending_before": names[0]}
    )
    assert (back.has_more, [each.id for each in back.data]) == (True, [names[2], names[1]])


async def test_the_same_key_gets_the_same_answer_and_makes_one_thing(bank: StripeSandbox) -> None:
    asked = {"metadata": {"wallet": "w3"}}
    options = {"idempotency_key": "one-of-ours"}
    first, second = await asyncio.gather(
        *(bank.client.v1.customers.create_async(asked, options) for _ in range(2))
    )
    assert first.id == second.id
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert len((await search(bank, "w3")).data) == 1
    with pytest.raises(stripe.IdempotencyError) as refused:
        await bank.client.v1.customers.create_async({"metadata": {"wallet": "w4"}}, options)
    assert refused.value.http_status == 400
    with pytest.raises(stripe.IdempotencyError, match="same endpoint"):
        await bank.client.v1.products.create_async({"name": "x"}, options)


async def test_what_is_forgotten_is_not_answered_again(bank: StripeSandbox) -> None:
    options = {"idempotency_key": "another"}
    first = await bank.client.v1.customers.create_async({}, options)
    assert len(await bank.received()) == 1
    await bank.http.delete(f"{bank.url}/sandbox/requests")
    assert await bank.received() == []
    assert (await bank.client.v1.customers.create_async({}, options)).id != first.id


async def test_what_is_received_is_written_down_without_the_key(bank: StripeSandbox) -> None:
    made = await bank.client.v1.customers.create_async({"metadata": {"wallet": "w5"}})
    (row,) = await bank.received()
    assert (row["method"], row["path"], row["status"]) == ("POST", "/v1/customers", 200)
    assert row["parameters"] == {"metadata": {"wallet": "w5"}}
    assert row["requestId"] == made.last_response.request_id
    assert "sk_test" not in str(row)


async def test_the_next_process_has_what_the_one_before_had(tmp_path: Path) -> None:
    (port,), file = free_ports(1), tmp_path / "stripe.json"
    with stripe_process(tmp_path, port, file):
        async with stripe_sdk(port) as client:
            customer = await a_customer(client)
            made = await a_subscription(client, customer)
            once = await client.v1.customers.create_async({}, {"idempotency_key": "kept"})
    assert file.stat().st_mode & 0o077 == 0
    with stripe_process(tmp_path, port, file):
        async with stripe_sdk(port) as client:
            assert (await client.v1.subscriptions.retrieve_async(made.id)).status == "active"
            assert (await client.v1.customers.create_async({}, {"idempotency_key": "kept"})).id == once.id


async def test_objects_have_what_the_sdk_says_that_they_have(bank: StripeSandbox) -> None:
    customer = await a_customer(bank.client)
    made = await a_subscription(bank.client, customer)
    price = made["items"].data[0].price
    invoice = await bank.client.v1.invoices.retrieve_async(made.latest_invoice)
    product = await bank.client.v1.products.retrieve_async(price.product)
    card = await bank.client.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer})
    found = [made, price, invoice, product, card, await bank.client.v1.customers.retrieve_async(customer)]
    assert not [fault for each in found for fault in lacking(each.to_dict())]


def lacking(found: dict[str, Any]) -> list[str]:
    """What the SDK declares of an object, not as optional, and is not there; and what it knows nothing of."""
    kind, faults = found.get("object"), []
    if kind in KINDS:
        declared = {
            name: type_ for name, type_ in KINDS[kind].__annotations__.items() if name != "OBJECT_NAME"
        }
        due = {name for name, type_ in declared.items() if type(None) not in get_args(type_)}
        faults += [f"{kind} lacks {name}" for name in due - found.keys()]
        faults += [f"{kind} has {name}" for name in found.keys() - declared.keys()]
    for value in found.values():
        for each in value if isinstance(value, list) else [value]:
            faults += lacking(each) if isinstance(each, dict) else []
    return faults


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("_customer_create_params.CustomerCreateParams", parameters.CUSTOMER_CREATE),
        ("_customer_update_params.CustomerUpdateParams", parameters.CUSTOMER_UPDATE),
        ("_customer_list_params.CustomerListParams", parameters.CUSTOMER_LIST),
        ("_customer_search_params.CustomerSearchParams", parameters.CUSTOMER_SEARCH),
        (
            "_payment_method_attach_params.PaymentMethodAttachParams",
            parameters.PAYMENT_METHOD_ATTACH,
        ),
        ("_product_create_params.ProductCreateParams", parameters.PRODUCT_CREATE),
        ("_price_create_params.PriceCreateParams", parameters.PRICE_CREATE),
        ("_subscription_create_params.SubscriptionCreateParams", parameters.SUBSCRIPTION_CREATE),
        ("_subscription_update_params.SubscriptionUpdateParams", parameters.SUBSCRIPTION_UPDATE),
        ("_subscription_cancel_params.SubscriptionCancelParams", parameters.SUBSCRIPTION_CANCEL),
        ("_subscription_list_params.SubscriptionListParams", parameters.SUBSCRIPTION_LIST),
        ("_invoice_list_params.InvoiceListParams", parameters.INVOICE_LIST),
    ],
)
def test_no_parameter_is_taken_that_stripe_does_not_know(name: str, reader: parameters.Reader) -> None:
    module, _, kind = name.partition(".")
    source = Path(stripe.__file__).parent / "params" / f"{module}.py"
    classes = {
        each.name: each for each in ast.parse(source.read_text()).body if isinstance(each, ast.ClassDef)
    }
    known = {line.target.id for line in classes[kind].body if isinstance(line, ast.AnnAssign)}
    taken = inspect.getclosurevars(reader).nonlocals["known"]
    assert taken.keys() <= known


async def test_someone_without_the_key_sees_nothing(bank: StripeSandbox) -> None:
    for path in ("/v1/customers", "/sandbox/requests", "/sandbox/faults"):
        async with bank.http.get(f"{bank.url}{path}", headers={"Authorization": "Bearer no"}) as answer:
            assert answer.status == 401
        async with aiohttp.ClientSession() as nobody, nobody.get(f"{bank.url}{path}") as answer:
            assert answer.status == 401
            assert "did not provide an API key" in (await answer.json())["error"]["message"]
