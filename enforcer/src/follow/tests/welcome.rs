//! Who we are is believed of a control plane whose keys the root certified, and takes effect as a whole.

use std::task::{Context, Wake, Waker};

use super::*;

#[tokio::test]
async fn a_key_set_the_pinned_root_did_not_sign_ends_everything() {
    let enforcer = Enforcer::new();
    let mut welcome = enforcer.welcome();
    welcome.key_set = Some(Keys::fresh().signed_set(1));
    let begun = enforcer.begin(welcome).await;
    assert!(matches!(begun, Err(SessionError::KeySet(_))));
    assert!(enforcer.parts.snapshots.pin().keys.is_none());
}

#[tokio::test]
async fn keys_for_another_ca_than_the_connection_was_believed_by_end_everything() {
    let enforcer = Enforcer::new();
    let mut set = enforcer.keys.set(1);
    set.ca = Sha256::of(b"another");
    let mut welcome = enforcer.welcome();
    welcome.key_set = Some(set.sign(&enforcer.keys.root));
    let begun = enforcer.begin(welcome).await;
    assert!(matches!(begun, Err(SessionError::Authority { certified }) if certified == set.ca));
    assert!(enforcer.parts.snapshots.pin().keys.is_none());
}

#[tokio::test]
async fn a_trust_bundle_is_not_the_roots_affair_and_the_keys_still_are() {
    let enforcer = Enforcer::new();
    let mut welcome = enforcer.welcome();
    welcome.key_set = Some(Keys::fresh().signed_set(1));
    let begun = enforcer.begin_by(None, welcome).await;
    assert!(matches!(begun, Err(SessionError::KeySet(_))));
    assert!(enforcer.parts.snapshots.pin().keys.is_none());
    let mut set = enforcer.keys.set(1);
    set.ca = Sha256::of(b"another");
    let mut welcome = enforcer.welcome();
    welcome.key_set = Some(set.sign(&enforcer.keys.root));
    enforcer.begin_by(None, welcome).await.unwrap();
    assert!(enforcer.parts.snapshots.pin().keys.is_some());
}

#[tokio::test]
async fn a_welcome_without_a_masking_key_is_none_and_takes_no_key_away() {
    let enforcer = Enforcer::new();
    enforcer.begin(enforcer.welcome()).await.unwrap();
    let mut welcome = enforcer.welcome();
    welcome.masking_key = Bytes::new();
    let begun = enforcer.begin(welcome).await;
    assert!(matches!(begun, Err(SessionError::Message(what)) if what.contains("masking_key")));
    assert!(enforcer.parts.snapshots.pin().masking.is_some());
    assert!(enforcer.parts.status.read().has_masking_key);
}

/// Looks, in the very moment in which a status is said, at what decides.
struct Onlooker {
    parts: Arc<Parts>,
    seen: Mutex<Vec<(bool, bool)>>,
}

impl Wake for Onlooker {
    fn wake(self: Arc<Self>) {
        let (status, snapshot) = (self.parts.status.read(), self.parts.snapshots.pin());
        let said = status.connected() || status.has_masking_key;
        let decides = snapshot.keys.is_some() && snapshot.masking.is_some();
        self.seen.lock().unwrap().push((said, decides));
    }
}

// Paused, so that only a change of the status wakes the onlooker, and not the time that passes.
#[tokio::test(start_paused = true)]
async fn a_status_that_says_connected_is_said_only_when_keys_and_masking_decide() {
    let enforcer = Enforcer::new();
    let onlooker = Arc::new(Onlooker {
        parts: Arc::clone(&enforcer.parts),
        seen: Mutex::default(),
    });
    let waker = Waker::from(Arc::clone(&onlooker));
    let status = &enforcer.parts.status;
    let mut waiting = Box::pin(status.wait_until(|| status.read(), |_| false, SOON));
    assert!(waiting.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
    enforcer.begin(enforcer.welcome()).await.unwrap();
    assert_eq!(onlooker.seen.lock().unwrap().first(), Some(&(true, true)));
}
