//! How far partitions reach, as known since the last write. Each answer to a fetch says it of each partition, and the
//! store would read it from its files each time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tansu_storage::{OffsetStage, Result, Topition};

#[derive(Debug, Default)]
pub(super) struct Stages(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Grows with whatever is written.
    changes: u64,
    stages: HashMap<Topition, OffsetStage>,
}

impl Stages {
    /// What is known of the partition, or else what the store says. That is kept, unless something was written while
    /// the store was asked.
    pub async fn get(
        &self,
        of: &Topition,
        store: impl Future<Output = Result<OffsetStage>> + Send,
    ) -> Result<OffsetStage> {
        let (known, changes) = {
            let known = self.known();
            (known.stages.get(of).copied(), known.changes)
        };
        if let Some(stage) = known {
            return Ok(stage);
        }
        let told = store.await?;
        let mut known = self.known();
        if known.changes == changes {
            known.stages.insert(of.clone(), told);
        }
        Ok(told)
    }

    /// Something was written.
    pub fn forget(&self) {
        let mut known = self.known();
        known.changes += 1;
        known.stages.clear();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_was_told_before_something_was_written_is_asked_for_again() {
        let (stages, of, asked) = (Stages::default(), Topition::new("t", 0), AtomicUsize::new(0));
        let store = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            Ok(OffsetStage::default())
        };
        stages.get(&of, store()).await.unwrap();
        stages.get(&of, store()).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        stages.forget();
        let overtaken = async {
            stages.forget();
            store().await
        };
        stages.get(&of, overtaken).await.unwrap();
        stages.get(&of, store()).await.unwrap();
        stages.get(&of, store()).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 3, "not what was told while something was written");
    }
}
