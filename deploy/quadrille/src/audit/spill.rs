//! Lines in temporary files, one file a bucket, so that what is too much for memory is read again bucket by bucket.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::marker::PhantomData;
use std::path::PathBuf;

use anyhow::Context;
use serde::{Serialize, de::DeserializeOwned};
use tempfile::TempDir;

/// How many bytes are kept in memory before they are written.
const BUFFERED: usize = 4 * 1024 * 1024;

/// Things of one kind by bucket. Its files go with it.
pub(super) struct Spill<T> {
    folder: TempDir,
    buffers: HashMap<usize, Vec<u8>>,
    buffered: usize,
    of: PhantomData<fn(T)>,
}

impl<T: Serialize + DeserializeOwned> Spill<T> {
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("quadrille-audit-").tempdir();
        let place = || format!("a folder in {} (TMPDIR names another place)", std::env::temp_dir().display());
        Ok(Self { folder: folder.with_context(place)?, buffers: HashMap::new(), buffered: 0, of: PhantomData })
    }

    pub fn add(&mut self, bucket: usize, thing: &T) -> anyhow::Result<()> {
        let buffer = self.buffers.entry(bucket).or_default();
        let before = buffer.len();
        serde_json::to_writer(&mut *buffer, thing)?;
        buffer.push(b'\n');
        self.buffered += buffer.len() - before;
        if self.buffered >= BUFFERED { self.write() } else { Ok(()) }
    }

    /// Shows what is in a bucket, in the order in which it was added.
    pub fn each(&mut self, bucket: usize, mut show: impl FnMut(T) -> anyhow::Result<()>) -> anyhow::Result<()> {
        self.write()?;
        let file = match File::open(self.file(bucket)) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).context("a temporary file"),
        };
        for line in BufReader::new(file).lines() {
            show(serde_json::from_str(&line.context("a temporary file")?)?)?;
        }
        Ok(())
    }

    pub fn forget(&mut self, bucket: usize) -> anyhow::Result<()> {
        self.write()?;
        match fs::remove_file(self.file(bucket)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).context("a temporary file"),
            _ => Ok(()),
        }
    }

    /// Opened anew each time: there may be more buckets than files may be open.
    fn write(&mut self) -> anyhow::Result<()> {
        self.buffered = 0;
        for (bucket, lines) in std::mem::take(&mut self.buffers) {
            let file = OpenOptions::new().append(true).create(true).open(self.file(bucket));
            file.and_then(|mut file| file.write_all(&lines)).context("writing a temporary file")?;
        }
        Ok(())
    }

    fn file(&self, bucket: usize) -> PathBuf {
        self.folder.path().join(bucket.to_string())
    }
}

/// The bucket of a text, of so many.
pub(super) fn bucket_of(text: &str, buckets: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    usize::try_from(hasher.finish() % buckets.max(1) as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(spill: &mut Spill<String>, bucket: usize) -> Vec<String> {
        let mut found = vec![];
        spill
            .each(bucket, |thing| {
                found.push(thing);
                Ok(())
            })
            .unwrap();
        found
    }

    #[test]
    fn buckets_keep_their_order_through_files_and_what_is_added_after_a_reading_follows() {
        let mut spill = Spill::new().unwrap();
        let long = "x".repeat(BUFFERED / 3);
        for thing in 0..8 {
            spill.add(thing % 2, &format!("{thing} {long}")).unwrap();
            assert!(spill.buffered < BUFFERED);
        }
        assert_eq!(read(&mut spill, 1).len(), 4);
        spill.add(1, &"the last".to_owned()).unwrap();
        let found: Vec<_> = read(&mut spill, 1).into_iter().map(|thing| thing.replace('x', "")).collect();
        assert_eq!(found, ["1 ", "3 ", "5 ", "7 ", "the last"]);
        spill.forget(1).unwrap();
        assert_eq!((read(&mut spill, 1).len(), read(&mut spill, 0).len(), read(&mut spill, 5).len()), (0, 4, 0));
    }
}
