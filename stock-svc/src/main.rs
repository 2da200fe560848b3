//! stock-svc as a process of its own.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    service_kit::exit::code("stock-svc", stock_svc::run().await)
}
