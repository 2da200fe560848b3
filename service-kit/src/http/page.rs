//! Lists: a limit, a cursor, and where to go on.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Problem;

/// The part of a list that was asked for: the whole query, or built from the fields of one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// At most so many items: 1 to 1,000, 50 when not given.
    pub limit: Option<String>,
    /// What the last answer gave as `next_cursor`.
    pub cursor: Option<String>,
}

impl Page {
    /// The limit, checked.
    ///
    /// # Errors
    /// It isn't a number from 1 to 1,000.
    pub fn limit(&self) -> Result<i64, Problem> {
        let Some(given) = &self.limit else { return Ok(50) };
        match given.parse() {
            Ok(limit @ 1..=1000) => Ok(limit),
            _ => Err(Problem::bad_input("limit", format!("{given:?} is not a whole number from 1 to 1000"))),
        }
    }

    /// The cursor as what the list is sorted by.
    ///
    /// # Errors
    /// It isn't one that an answer has given.
    pub fn cursor<T: std::str::FromStr>(&self) -> Result<Option<T>, Problem> {
        let refuse = |_| Problem::bad_input("cursor", "it is not one that a list has given as next_cursor");
        self.cursor.as_deref().map(|text| text.parse().map_err(refuse)).transpose()
    }
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Paged<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins; nothing on the last.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

impl<T> Paged<T> {
    /// A page of at most `limit` items, from rows of which one more was asked for than fits, to know whether there is a
    /// next page.
    pub fn from_rows(mut rows: Vec<T>, limit: i64, cursor_of: impl Fn(&T) -> String) -> Self {
        let fits = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > fits;
        rows.truncate(fits);
        let next_cursor = more.then(|| rows.last().map(cursor_of)).flatten();
        Self { items: rows, next_cursor }
    }

    /// The same page with each item as `view` shows it.
    pub fn map<U>(self, view: impl FnMut(T) -> U) -> Paged<U> {
        Paged { items: self.items.into_iter().map(view).collect(), next_cursor: self.next_cursor }
    }
}
