#[tokio::main]
async fn main() -> std::process::ExitCode {
    service_kit::exit::code("order-svc", order_svc::run().await)
}
