//! Text and push messages: the part of Twilio's and Firebase's APIs that notification-svc speaks. What is sent is kept and can be
//! read; nothing leaves.

mod firebase;
mod kept;
mod twilio;

use actix_web::web::{self, ServiceConfig};

pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/2010-04-01/Accounts/{account}/Messages.json", web::post().to(twilio::send))
        .route("/v1/projects/{project}/messages:send", web::post().to(firebase::send))
        .route("/sandbox/messages", web::get().to(kept::list))
        .route("/sandbox/messages", web::delete().to(kept::delete));
}
