//! Group commit: one thread makes records durable, as many at a time as have come.
//!
//! While one `fdatasync` runs, others ask; the next run answers them all. A failure is final: after a failed sync nobody
//! knows what is on the disk, and trying again would only look better.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

use tracing::error;

use super::Shared;
use crate::directory::sync_directory;

/// Records nobody waits for become durable at the latest after this.
const LAZY_SYNC: Duration = Duration::from_millis(200);

/// The syncing thread; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct SyncThread {
    /// Room for one: a wish that is already there covers everyone.
    wish: SyncSender<()>,
}

impl SyncThread {
    pub(super) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let (wish, wishes) = mpsc::sync_channel(1);
        thread::Builder::new()
            .name("journal-sync".into())
            .spawn(move || run(&shared, &wishes))?;
        Ok(Self { wish })
    }

    /// Asks for a sync that covers everything appended before.
    pub(super) fn ask(&self) {
        // Full: the sync that is about to start will do. Disconnected: the thread failed, and progress says so.
        let _covered = self.wish.try_send(());
    }
}

fn run(shared: &Shared, wishes: &Receiver<()>) {
    loop {
        let ended = matches!(
            wishes.recv_timeout(LAZY_SYNC),
            Err(RecvTimeoutError::Disconnected)
        );
        if let Err(error) = sync_once(shared) {
            error!(
                error = &error as &dyn std::error::Error,
                "the journal can't be made durable; everything is denied"
            );
            shared.fail();
            return;
        }
        if ended {
            return;
        }
    }
}

fn sync_once(shared: &Shared) -> io::Result<()> {
    let before = *shared.progress.borrow();
    if before.failed || before.synced == before.appended {
        return Ok(());
    }
    let (files, names_changed, upto): (Vec<Arc<File>>, bool, u64) = {
        let mut writer = shared
            .writer
            .lock()
            .map_err(|_| io::Error::other("the journal's lock is poisoned"))?;
        let mut files = std::mem::take(&mut writer.unsynced);
        files.push(Arc::clone(&writer.file));
        (
            files,
            std::mem::take(&mut writer.names_changed),
            writer.chain.next_sequence,
        )
    };
    for file in files {
        file.sync_data()?;
    }
    if names_changed {
        sync_directory(&shared.directory)?;
    }
    shared
        .progress
        .send_modify(|progress| progress.synced = progress.synced.max(upto));
    Ok(())
}
