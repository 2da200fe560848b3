use serde::{Deserialize, Serialize};

/// What staff write down about an order: some lines of text, neither empty nor endless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NoteText(String);

impl NoteText {
    /// How many characters it has at most.
    pub const MAX: usize = 2_000;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What staff did with an order, why, and what they have to say about it.
    pub fn of_action(did: &str, why: Option<&str>, said: Option<&Self>) -> Self {
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let said = said.map(|said| format!("\n{}", said.as_str())).unwrap_or_default();
        Self(format!("{did}{why}{said}"))
    }
}

impl TryFrom<String> for NoteText {
    type Error = String;

    fn try_from(given: String) -> Result<Self, String> {
        let text = given.replace("\r\n", "\n");
        let is_unwritable = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        let count = text.chars().count();
        if text.trim().is_empty() {
            Err("expected some text".to_owned())
        } else if count > Self::MAX {
            Err(format!("expected at most {} characters, got {count}", Self::MAX))
        } else if text.contains(is_unwritable) {
            Err("expected no control characters but ends of lines and tabs".to_owned())
        } else {
            Ok(Self(text))
        }
    }
}

impl From<NoteText> for String {
    fn from(text: NoteText) -> Self {
        text.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_has_some_text_of_several_lines_and_no_more_than_people_read() {
        let longest = "é".repeat(NoteText::MAX);
        for text in ["Called Ann.", "One\n\tTwo", &longest, "<b>not markup</b>"] {
            assert_eq!(NoteText::try_from(text.to_owned()).unwrap().as_str(), text);
        }
        assert_eq!(NoteText::try_from("One\r\nTwo".to_owned()).unwrap().as_str(), "One\nTwo");
        for text in ["", " \n ", "a\0", "a\u{1b}[31m", &format!("{longest}e")] {
            assert!(NoteText::try_from(text.to_owned()).is_err(), "{text:?}");
        }
    }
}
