use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A part of the world that few steps change. Worlds share it until it changes, and its hash is computed only once.
#[derive(Clone)]
pub struct Shared<T> {
    value: Arc<T>,
    print: u64,
}

/// A 64-bit hash that is the same in every run.
pub fn fingerprint(value: &impl Hash) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(value)
}

impl<T: Hash + Clone> Shared<T> {
    pub fn new(value: T) -> Self {
        let print = fingerprint(&value);
        Self { value: Arc::new(value), print }
    }

    /// A copy of the value, to change.
    pub fn clone_value(&self) -> T {
        T::clone(&self.value)
    }

    /// Replaces the value with a changed copy.
    pub fn change<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.clone_value();
        let result = change(&mut value);
        *self = Self::new(value);
        result
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.print);
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
