//! payment-svc as a program of its own.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    service_kit::exit::code("payment-svc", payment_svc::run().await)
}
