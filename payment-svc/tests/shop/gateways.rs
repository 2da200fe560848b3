//! Gateways that do as they are told.

use mockall::mock;
use payment_svc::gateway::{GatewayError, GivenBack, IntentState, NewIntent, NewRefund, PaymentGateway, RefundOutcome};
use shared_events::{PaymentMethod, RefundId};

mock! {
    /// The one true edge.
    pub Gateway {}

    impl PaymentGateway for Gateway {
        fn create(&self, key: String, intent: NewIntent) -> impl Future<Output = Result<String, GatewayError>> + Send;
        fn confirm(
            &self,
            key: String,
            intent: String,
            method: PaymentMethod,
        ) -> impl Future<Output = Result<IntentState, GatewayError>> + Send;
        fn capture(&self, key: String, intent: String) -> impl Future<Output = Result<IntentState, GatewayError>> + Send;
        fn cancel(&self, key: String, intent: String) -> impl Future<Output = Result<IntentState, GatewayError>> + Send;
        fn look_up(&self, intent: String) -> impl Future<Output = Result<IntentState, GatewayError>> + Send;
        fn refund(&self, key: String, refund: NewRefund) -> impl Future<Output = Result<RefundOutcome, GatewayError>> + Send;
        fn look_up_refund(
            &self,
            intent: String,
            refund: RefundId,
        ) -> impl Future<Output = Result<Option<RefundOutcome>, GatewayError>> + Send;
        fn given_back(&self, intent: String) -> impl Future<Output = Result<Vec<GivenBack>, GatewayError>> + Send;
    }
}

/// An answer that is there at once.
pub fn now<T: Send + 'static>(answer: T) -> std::pin::Pin<Box<dyn Future<Output = T> + Send>> {
    Box::pin(std::future::ready(answer))
}

/// Any call fails the test.
pub fn never_called() -> MockGateway {
    MockGateway::new()
}

/// Does everything it is asked, and is asked each thing as often as it is.
pub fn that_agrees() -> MockGateway {
    else_agrees(MockGateway::new())
}

/// Does what it was told already, and else everything it is asked.
pub fn else_agrees(mut gateway: MockGateway) -> MockGateway {
    gateway.expect_create().returning(|_, intent| now(Ok(format!("pi_{}", intent.order_id))));
    gateway.expect_confirm().returning(|_, _, _| now(Ok(IntentState::Authorised)));
    gateway.expect_capture().returning(|_, _| now(Ok(IntentState::Captured)));
    gateway.expect_cancel().returning(|_, _| now(Ok(IntentState::Cancelled { let_go: false })));
    gateway.expect_given_back().returning(|_| now(Ok(vec![])));
    gateway.expect_refund().returning(|_, refund| now(Ok(RefundOutcome::Accepted { id: format!("re_{}", refund.id) })));
    gateway
}
