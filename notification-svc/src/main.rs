//! `notification-svc` by itself.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    notification_svc::run().await
}
