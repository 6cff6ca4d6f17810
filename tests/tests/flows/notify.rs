//! Notifications: people are told once in effect, by whichever replica, and no hold waits for it.

mod bounds;
mod delivery;
mod email;
mod further;
mod hostile;
mod kinds;
mod page;
mod peer;
mod receiver;
mod restart;
mod running;

use std::sync::Arc;

use checkrein_control_plane::notify::{Notifications, Notifier};
use checkrein_proto::hold::v1 as wire;
use checkrein_shared::clock::{Clock, ManualClock, SystemClock};
use checkrein_tests::TRUST_DOMAIN;
use receiver::Receiver;

use crate::flows::asking::Asking;

/// What webhooks are signed with: 24 bytes.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Holds, and whoever tells of them by a clock that stands still.
struct Telling {
    asking: Asking,
    clock: ManualClock,
}

impl Telling {
    /// Nothing was told yet, and what happens from now on will be.
    async fn set() -> Self {
        Self::of(Asking::set().await).await
    }

    /// The same of other holds.
    async fn of(asking: Asking) -> Self {
        let telling = Self {
            asking,
            clock: ManualClock::at(SystemClock.wall_ms()),
        };
        std::fs::write(telling.asking.world.path().join("secret"), SECRET).unwrap();
        // The first look only marks the place.
        assert_eq!(telling.notifier("").gather().await.unwrap(), 0);
        telling
    }

    /// A replica's notifier with these channels.
    fn notifier(&self, channels: &str) -> Notifier {
        let world = &self.asking.world;
        let file = world.path().join("notifications.toml");
        let console = "console_url = \"https://checkrein.acme.example\"\n";
        std::fs::write(&file, format!("{console}{channels}")).unwrap();
        let notifications = Notifications::read(&file).unwrap();
        let clock = Arc::new(self.clock.clone());
        Notifier::new(
            world.database().unwrap(),
            clock,
            TRUST_DOMAIN,
            Some(notifications),
        )
        .unwrap()
    }

    /// What operators see of messages.
    async fn listed(&self, dead: bool) -> Vec<wire::Notification> {
        let request = wire::ListNotificationsRequest {
            dead,
            sent: !dead,
            ..wire::ListNotificationsRequest::default()
        };
        let listed = self
            .asking
            .operator
            .notifications()
            .list_notifications(request)
            .await
            .unwrap();
        listed.into_inner().notifications
    }
}

/// A webhook that leads to a receiver on this machine.
fn webhook(name: &str, receiver: &Receiver, rest: &str) -> String {
    let allow = "allow_internal = [\"127.0.0.0/8\", \"::1/128\"]";
    let port = receiver.address.port();
    let url = match &receiver.ca {
        Some(ca) => format!("url = \"https://localhost:{port}/in\"\nca = \"{}\"", ca.display()),
        None => format!("url = \"http://127.0.0.1:{port}/in\""),
    };
    format!("[webhook.{name}]\n{url}\nsecret_files = [\"secret\"]\n{allow}\n{rest}\n")
}
