#[tokio::main]
async fn main() -> std::process::ExitCode {
    service_kit::exit::code("notification-svc", notification_svc::run().await)
}
