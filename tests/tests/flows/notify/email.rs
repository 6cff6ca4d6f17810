//! E-mail to a real SMTP server.

use checkrein_tests::WAIT_MAX;
use tokio::time::timeout;

use super::Telling;
use super::peer::Peer;
use super::receiver::certificate;

/// What would end a header or a message, if it could.
const HOSTILE: &str = "an \"account\"\r\nBcc: eve@evil.example\r\n\r\n.\r\nQUIT nobody naméd";

fn channel(port: u16, rest: &str) -> String {
    format!(
        "[email.desk]\nserver = \"localhost\"\nport = {port}\nfrom = \"Checkrein <checkrein@acme.example>\"\n\
         to = [\"desk@acme.example\", \"Risk <risk@acme.example>\"]\n{rest}\n"
    )
}

/// A mailbox with TLS; its CA is `mail-ca.pem` in the world's directory.
async fn mailbox(scene: &Telling, mode: &str) -> (Peer, u16) {
    let (ca, certificate, key) = certificate();
    let path = |name: &str| scene.asking.world.path().join(name);
    std::fs::write(path("mail-ca.pem"), ca).unwrap();
    std::fs::write(path("mail.pem"), certificate.pem()).unwrap();
    std::fs::write(path("mail-key.pem"), key.serialize_pem()).unwrap();
    std::fs::write(path("password"), "a password of a test").unwrap();
    let (key, certificate) = (path("mail-key.pem"), path("mail.pem"));
    Peer::mailbox(&[mode, key.to_str().unwrap(), certificate.to_str().unwrap()]).await
}

/// Tells of what is held over this channel; gives why it failed, if it did.
async fn tell(scene: &Telling, channel: &str, call: &str) -> String {
    let notifier = scene.notifier(channel);
    let mut request = crate::flows::asking::open(&scene.asking.started, call, "US13");
    HOSTILE.clone_into(&mut request.reason);
    scene.asking.opened(request).await;
    notifier.gather().await.unwrap();
    assert_eq!(notifier.deliver("desk").await.unwrap(), 2, "a letter for each");
    scene.listed(false).await.remove(0).last_error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_arrives_over_tls_for_those_it_was_meant_for_whatever_a_hold_says() {
    for (mode, login) in [
        ("implicit", "user = \"checkrein\"\npassword_file = \"password\""),
        ("starttls", ""),
    ] {
        let scene = Telling::set().await;
        let (mut mailbox, port) = mailbox(&scene, mode).await;
        let channel = channel(port, &format!("tls = \"{mode}\"\nca = \"mail-ca.pem\"\n{login}"));
        assert_eq!(tell(&scene, &channel, "call").await, "", "{mode}");
        let mut to = Vec::new();
        for _ in 0..2 {
            let mail = timeout(WAIT_MAX, mailbox.mail()).await.unwrap();
            assert_eq!(mail["secure"], true);
            assert_eq!(mail["user"], if login.is_empty() { "" } else { "checkrein" });
            assert_eq!(mail["from"], "checkrein@acme.example");
            let message = mail["message"].as_str().unwrap();
            let (headers, _) = message.split_once("\r\n\r\n").unwrap();
            // A name of a message may have these letters in it.
            let is_blind = |line: &str| line.to_lowercase().starts_with("bcc:");
            assert!(!headers.lines().any(is_blind), "{headers}");
            assert!(headers.contains("Message-ID: <notification_"), "{headers}");
            assert!(headers.to_lowercase().contains("text/plain"), "{headers}");
            assert_eq!(mail["to"].as_array().unwrap().len(), 1);
            to.push(mail["to"][0].as_str().unwrap().to_owned());
        }
        to.sort();
        assert_eq!(to, ["desk@acme.example", "risk@acme.example"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_whom_the_server_refuses_keeps_no_letter_from_the_others_and_nobody_gets_two() {
    let scene = Telling::set().await;
    let (mut mailbox, port) = Peer::mailbox(&["none"]).await;
    let channel = format!(
        "[email.desk]\nserver = \"localhost\"\nport = {port}\ntls = \"none\"\nfrom = \"checkrein@acme.example\"\n\
         to = [\"refused@acme.example\", \"later@acme.example\", \"desk@acme.example\", \"Desk <desk@acme.example>\"]\n"
    );
    let notifier = scene.notifier(&channel);
    scene.asking.held("call", "US13").await;
    notifier.gather().await.unwrap();
    assert_eq!(notifier.deliver("desk").await.unwrap(), 3);
    assert_eq!(mailbox.mail().await["to"][0], "desk@acme.example");
    let dead = scene.listed(true).await;
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (&*dead[0].recipient, dead[0].attempts),
        ("refused@acme.example", 1)
    );
    assert!(dead[0].last_error.contains("550"), "{}", dead[0].last_error);
    // The server takes it at the second try.
    scene.clock.advance_ms(10_000);
    assert_eq!(notifier.deliver("desk").await.unwrap(), 1);
    assert_eq!(mailbox.mail().await["to"][0], "later@acme.example");
    scene.clock.advance_ms(3_600_000);
    assert_eq!(notifier.deliver("desk").await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_a_server_without_tls_or_with_somebody_elses() {
    let scene = Telling::set().await;
    // The server never offers TLS.
    let (_plain, port) = Peer::mailbox(&["none"]).await;
    let (_other, _) = mailbox(&scene, "implicit").await;
    let starttls = channel(port, "tls = \"starttls\"\nca = \"mail-ca.pem\"");
    assert_ne!(tell(&scene, &starttls, "one").await, "");

    let scene = Telling::set().await;
    let (_believed, port) = mailbox(&scene, "implicit").await;
    let (_other, _) = mailbox(&scene, "implicit").await;
    // `mail-ca.pem` is the other's.
    let why = tell(&scene, &channel(port, "ca = \"mail-ca.pem\""), "two").await;
    assert!(why.to_lowercase().contains("certificate"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_this_machine_may_do_without_tls_and_a_refused_login_is_told() {
    let scene = Telling::set().await;
    let (mut mailbox_of_ours, port) = Peer::mailbox(&["none"]).await;
    assert_eq!(tell(&scene, &channel(port, "tls = \"none\""), "one").await, "");
    assert_eq!(mailbox_of_ours.mail().await["secure"], false);

    let scene = Telling::set().await;
    let (_mailbox, port) = mailbox(&scene, "implicit").await;
    std::fs::write(scene.asking.world.path().join("password"), "another").unwrap();
    let login = "ca = \"mail-ca.pem\"\nuser = \"checkrein\"\npassword_file = \"password\"";
    let why = tell(&scene, &channel(port, login), "two").await;
    assert!(why.contains("535") && !why.contains("another"), "{why}");
}
