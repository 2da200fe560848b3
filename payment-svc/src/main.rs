//! payment-svc as a program of its own.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    payment_svc::run().await
}
