#[tokio::main]
async fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    service_kit::exit::code("order-svc", order_svc::cli::run(&arguments, &mut service_kit::exit::stdout()).await)
}
