//! Mails through the real senders: an SMTP conversation over TCP, and files in a folder.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};

use notification_svc::delivery::{Message, Sender};
use notification_svc::domain::SendError;
use notification_svc::mail::Transport;
use shared_events::{NotificationId, OrderId};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A mail server that answers each connection's RCPT with the next of its answers and keeps what it took.
struct MailServer {
    url: String,
    taken: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    async fn start(answers: Vec<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let taken = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&taken);
        tokio::spawn(async move {
            for answer in answers {
                let (stream, _) = listener.accept().await.unwrap();
                let mail = converse(stream, answer).await;
                kept.lock().unwrap().extend(mail);
            }
        });
        Self { url, taken }
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

/// Instead of an answer the connection ends.
const HANGS_UP: &str = "";

async fn converse(stream: TcpStream, to_rcpt: &str) -> Option<String> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut mail = None;
    write.write_all(b"220 ready\r\n").await.ok()?;
    while let Some(line) = lines.next_line().await.ok()? {
        let answer = match line.split([' ', ':']).next().unwrap_or_default() {
            "RCPT" if to_rcpt == HANGS_UP => return None,
            "RCPT" => to_rcpt,
            "DATA" => {
                write.write_all(b"354 go on\r\n").await.ok()?;
                let mut text = String::new();
                while let Some(line) = lines.next_line().await.ok()?.filter(|line| line != ".") {
                    text += &format!("{line}\n");
                }
                mail = Some(text);
                "250 taken"
            }
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        write.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
        if mail.is_some() {
            break;
        }
    }
    mail
}

fn sender(url: &str) -> Arc<dyn Sender> {
    url.parse::<Transport>().unwrap().open(&"The Shop <shop@quadrille.example>".parse().unwrap()).unwrap()
}

fn mail() -> Message {
    Message {
        id: NotificationId::new(),
        order: OrderId::new(),
        template: "order_placed".to_owned(),
        recipient: "ann@example.com".to_owned(),
        subject: Some("We have your order".to_owned()),
        body: "Hello Ann,\n\nthank you.\n".to_owned(),
        html: Some("<p>Hello Ann,</p>\n<p>thank you.</p>\n".to_owned()),
        traceparent: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_for_now_and_then_accepts_gets_the_mail_once() {
    let server = MailServer::start(vec!["451 <ann@example.com> greylisted, come again", "250 ok"]).await;
    let (sender, mail) = (sender(&server.url), mail());
    match sender.send(mail.clone()).await {
        Err(SendError::Transient(said)) => assert!(said.contains("451") || said.contains("greylisted"), "{said}"),
        other => panic!("{other:?}"),
    }
    assert!(server.taken().is_empty());
    sender.send(mail.clone()).await.unwrap();
    service_kit::testing::eventually("the server has the mail", std::time::Duration::from_secs(5), async || {
        !server.taken().is_empty()
    })
    .await;
    let text = server.taken().remove(0);
    assert!(text.contains(&format!("Message-ID: <{}@quadrille.example>\n", mail.id)), "{text}");
    assert!(text.contains("Subject: We have your order\n") && text.contains("\n\nHello Ann,\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_mailbox_is_refused_for_good_and_its_address_is_not_repeated() {
    let server = MailServer::start(vec!["550 <ann@example.com> unknown"]).await;
    match sender(&server.url).send(mail()).await {
        Err(SendError::Permanent(said)) => assert!(!said.contains("ann@example.com"), "{said}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_may_come_back() {
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let outcome = sender(&format!("smtp://127.0.0.1:{port}")).send(mail()).await;
    assert!(matches!(outcome, Err(SendError::Unavailable(_))), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_up_on_one_mail_and_greets_anew_is_not_away() {
    let server = MailServer::start(vec![HANGS_UP, "250 ok"]).await;
    let outcome = sender(&server.url).send(mail()).await;
    assert!(matches!(outcome, Err(SendError::Transient(_))), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_shuts_down_says_so_to_every_mail() {
    let server = MailServer::start(vec!["421 shutting down"]).await;
    let outcome = sender(&server.url).send(mail()).await;
    assert!(matches!(outcome, Err(SendError::Unavailable(_))), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_files_an_orders_mails_stand_together_and_a_repeated_one_stands_once() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, mail) = (sender(&format!("file:{}/mails", folder.path().display())), mail());
    sender.send(mail.clone()).await.unwrap();
    sender.send(mail.clone()).await.unwrap();
    let files: Vec<_> = std::fs::read_dir(folder.path().join("mails")).unwrap().map(|file| file.unwrap()).collect();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].file_name().to_str().unwrap(), format!("{}.order_placed.{}.eml", mail.order, mail.id));
    assert!(std::fs::read_to_string(files[0].path()).unwrap().contains("\r\n\r\nHello Ann,\r\n"));
}
