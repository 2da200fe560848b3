//! A payment gateway for development and tests: the part of Stripe's API that payment-svc speaks, with a journal.
