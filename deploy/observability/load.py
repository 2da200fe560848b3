"""Customers and staff: orders of every kind, a few a second, whatever is refused or breaks off meanwhile."""

import itertools
import json
import threading
import urllib.error
import urllib.request

EVERY_SECONDS = 0.3
TEA = "TEA-EARL-GREY-250"
# How orders are paid, and how many pieces they have: the last is more than there is.
KINDS = (
    *[("pm_card_visa", 1)] * 6,
    ("pm_card_chargeDeclined", 1),
    ("pm_card_authenticationRequired", 1),
    ("pm_card_visa", 10_000),
)


class Load:
    """Goes on in a thread of its own for as long as the block lasts."""

    def __init__(self, url):
        self.url, self.over = url, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(30)

    def run(self):
        for number, (method, quantity) in enumerate(itertools.cycle(KINDS)):
            if self.over.wait(EVERY_SECONDS):
                return
            orders = f"{self.url('order-svc')}/api/v1/orders"
            placed = self.asked(orders, order(method, quantity))
            if placed:
                self.asked(f"{orders}/{placed['id']}")
                if number % 7 == 0:
                    self.asked(f"{orders}/{placed['id']}/cancel", {})
            products = f"{self.url('stock-svc')}/api/v1/products"
            self.asked(products)
            self.asked(f"{self.url('payment-svc')}/api/v1/payments")
            self.asked(f"{self.url('notification-svc')}/api/v1/notifications")
            if number % 50 == 0:
                self.asked(f"{products}/{TEA}/adjustments", {"delta": 100, "reason": "delivery"}, {"Idempotency-Key": f"load-{number}"})

    @staticmethod
    def asked(url, body=None, headers=()):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, {"Content-Type": "application/json", **dict(headers)})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return json.load(answer)
        except (OSError, ValueError):
            return None  # it is part of the test that things are away


def order(method, quantity):
    return {
        "customer": {"id": "c-1001", "name": "Ann Lee", "email": "ann@example.com"},
        "delivery_address": {"line1": "1 Quay St", "line2": None, "city": "Cork", "postal_code": "T12", "country": "IE"},
        "currency": "EUR",
        "lines": [{"sku": TEA, "quantity": quantity}],
        "payment_method": method,
    }
