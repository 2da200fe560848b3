use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;
use lettre::message::Mailbox;

use super::message::compose;
use crate::delivery::{Message, Sender, Sending};
use crate::domain::SendError;

/// Writes mails into a folder, where a person or a test can open them: `<order>.<template>.<notification>.eml`, so that
/// an order's mails stand together. The same mail sent again is the same file.
pub struct Files {
    folder: PathBuf,
    from: Mailbox,
}

impl Files {
    /// Mails from `from` into `folder`. Fails if the folder isn't there and can't be made.
    pub fn new(folder: PathBuf, from: Mailbox) -> anyhow::Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("the mail folder {} can't be made", folder.display()))?;
        Ok(Self { folder, from })
    }
}

impl Sender for Files {
    fn send(&self, mail: Message) -> Sending {
        let path = self.folder.join(format!("{}.{}.{}.eml", mail.order, mail.template, mail.id));
        let message = compose(&self.from, mail);
        Box::pin(async move {
            let text = message?.formatted();
            let written = tokio::task::spawn_blocking(move || write_whole(&path, &text)).await;
            written.map_err(SendError::unavailable)?.map_err(SendError::unavailable)
        })
    }
}

/// Under another name first, so that whoever watches the folder never opens half a mail.
fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, text)?;
    fs::rename(&unfinished, path)
}
