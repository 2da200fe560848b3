//! order-svc as a program of its own.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    order_svc::run().await
}
