//! The receiver that the page about notifications shows, run as it stands there.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use checkrein_tests::{WAIT_MAX, free_port, installed};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::{SECRET, Telling};

/// What is between the first fence of JavaScript and the next.
fn shown() -> String {
    let page = include_str!("../../../../docs/notifications.md");
    let (_, code) = page.split_once("```js\n").unwrap();
    code.split_once("```").unwrap().0.to_owned()
}

/// Connects once somebody listens.
async fn connect(port: u16) -> TcpStream {
    let connecting = async {
        loop {
            if let Ok(stream) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).await {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(WAIT_MAX, connecting).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_of_the_page_takes_what_is_signed_and_nothing_else() {
    let scene = Telling::set().await;
    let modules = installed("peers/receivers/node_modules").unwrap();
    let directory = scene.asking.world.path();
    std::os::unix::fs::symlink(modules, directory.join("node_modules")).unwrap();
    std::fs::write(directory.join("receiver.mjs"), shown()).unwrap();
    let port = free_port().await.unwrap();
    let mut receiver = Command::new(installed("bin/node").unwrap())
        .arg(directory.join("receiver.mjs"))
        .env("PORT", port.to_string())
        .env("CHECKREIN_WEBHOOK_SECRET", SECRET)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(receiver.stdout.take().unwrap()).lines();

    let mut forger = connect(port).await;
    let forged = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nwebhook-id: 1\r\nwebhook-timestamp: 1\r\n\
        webhook-signature: v1,AAAA\r\ncontent-length: 2\r\n\r\n{}";
    forger.write_all(forged.as_bytes()).await.unwrap();
    let mut answer = String::new();
    forger.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");

    let channel = format!(
        "[webhook.pager]\nurl = \"http://127.0.0.1:{port}/\"\nsecret_files = [\"secret\"]\nallow_internal = [\"127.0.0.1/32\"]\n"
    );
    let notifier = scene.notifier(&channel);
    let hold = scene.asking.held("call", "US13").await;
    notifier.gather().await.unwrap();
    assert_eq!(notifier.deliver("pager").await.unwrap(), 1);
    assert_eq!(scene.listed(false).await[0].last_error, "");
    let line = timeout(WAIT_MAX, lines.next_line())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let link = format!("https://checkrein.acme.example/holds/{}", hold.hold_id);
    assert_eq!(line, format!("checkrein.hold.opened bank/send_money {link}"));
}
