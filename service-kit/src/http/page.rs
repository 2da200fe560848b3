//! Lists with a limit and a cursor.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How many items a list returns: 1 to 1,000, or 50 if the client doesn't say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Limit(i64);

impl Limit {
    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

impl TryFrom<String> for Limit {
    type Error = String;

    fn try_from(given: String) -> Result<Self, String> {
        match given.parse() {
            Ok(limit @ 1..=1000) => Ok(Self(limit)),
            _ => Err(format!("{given:?} is not a whole number from 1 to 1000")),
        }
    }
}

/// Where a list continues: the sort key after which it goes on, which the previous answer gave as `next_cursor`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String", bound = "T: FromStr")]
pub struct Cursor<T>(pub T);

impl<T: FromStr> TryFrom<String> for Cursor<T> {
    type Error = &'static str;

    fn try_from(given: String) -> Result<Self, &'static str> {
        given.parse().map(Self).map_err(|_| "it is not one that a list has given as next_cursor")
    }
}

/// The query of a list without other parameters. A list with more has `limit` and `cursor` among its own fields, so
/// that all errors are reported at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, bound = "T: FromStr")]
pub struct Page<T> {
    /// The most items to return.
    pub limit: Option<Limit>,
    /// Where to continue; from the beginning if absent.
    pub cursor: Option<Cursor<T>>,
}

impl<T> Page<T> {
    /// The limit, and the item after which the page begins.
    pub fn parts(self) -> (i64, Option<T>) {
        (self.limit.unwrap_or_default().get(), self.cursor.map(|Cursor(after)| after))
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Paged<T> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor of the next page; null on the last page.
    #[schema(required, example = json!(null))]
    pub next_cursor: Option<String>,
}

impl<T> Paged<T> {
    /// A page of at most `limit` items. The query must have asked for one row more, whose presence tells that there
    /// is a next page.
    pub fn from_rows(mut rows: Vec<T>, limit: i64, cursor_of: impl Fn(&T) -> String) -> Self {
        let fits = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > fits;
        rows.truncate(fits);
        let next_cursor = more.then(|| rows.last().map(cursor_of)).flatten();
        Self { items: rows, next_cursor }
    }

    /// The same page with each item converted by `view`.
    pub fn map<U>(self, view: impl FnMut(T) -> U) -> Paged<U> {
        Paged { items: self.items.into_iter().map(view).collect(), next_cursor: self.next_cursor }
    }
}
