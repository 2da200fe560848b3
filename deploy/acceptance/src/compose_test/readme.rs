//! The README and its fellows as the test reads them: the commands that they tell people to type, as they are written there.

use std::{fs, path::Path};

use anyhow::{Context, bail};

/// A section's fenced shell blocks, and the rows of its tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Section {
    pub blocks: Vec<Block>,
    pub rows: Vec<String>,
}

/// A fenced block, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub line: usize,
    pub text: String,
}

/// One command of a block, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub line: usize,
    pub text: String,
}

impl Section {
    /// The section of `file` in `root` whose heading begins with `heading`. Fails if there is none.
    pub fn read(root: &Path, file: &str, heading: &str) -> anyhow::Result<Self> {
        let file = root.join(file);
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        Self::of(&text, heading).with_context(|| format!("{} has no section `{heading}`", file.display()))
    }

    fn of(text: &str, heading: &str) -> Option<Self> {
        let (mut section, mut inside, mut found, mut fence) = (Self::default(), false, false, None);
        for (line, number) in text.lines().zip(1..) {
            match fence {
                Some(is_shell) => {
                    if line.trim_start().starts_with("```") {
                        fence = None;
                    } else if let Some(block) = section.blocks.last_mut().filter(|_| inside && is_shell) {
                        block.text.push_str(line);
                        block.text.push('\n');
                    }
                }
                None if line.trim_start().starts_with("```") => {
                    let is_shell = matches!(line.trim().trim_start_matches('`'), "sh" | "bash" | "shell" | "console");
                    if inside && is_shell {
                        section.blocks.push(Block { line: number + 1, text: String::new() });
                    }
                    fence = Some(is_shell);
                }
                None if line.starts_with("## ") || line.starts_with("# ") => {
                    inside = line.starts_with(heading);
                    found |= inside;
                }
                None if inside && line.starts_with('|') => section.rows.push(line.to_owned()),
                None => {}
            }
        }
        found.then_some(section)
    }

    /// All commands of the blocks, one by one. Fails if one is not ended.
    pub fn commands(&self) -> anyhow::Result<Vec<Command>> {
        let mut commands = Vec::new();
        for block in &self.blocks {
            let mut open: Option<Command> = None;
            for (line, number) in block.text.lines().zip(block.line..) {
                if open.is_none() && (line.trim().is_empty() || line.trim_start().starts_with('#')) {
                    continue;
                }
                let command = open.get_or_insert_with(|| Command { line: number, text: String::new() });
                if !command.text.is_empty() {
                    command.text.push('\n');
                }
                command.text.push_str(line);
                if is_whole(&command.text) {
                    commands.extend(open.take());
                }
            }
            if let Some(open) = open {
                bail!("line {}: the command is not ended: {}", open.line, open.text);
            }
        }
        Ok(commands)
    }
}

impl Command {
    /// The command's words, without a comment behind it. Good enough to tell what kind of command it is.
    pub fn words(&self) -> Vec<&str> {
        let code = self.text.split(" #").next().unwrap_or_default();
        code.split_whitespace().filter(|word| *word != "\\").map(|word| word.trim_matches(['"', '\''])).collect()
    }
}

/// Whether a shell would run it now rather than ask for the next line.
fn is_whole(text: &str) -> bool {
    let (mut quote, mut escaped, mut comment, mut before) = (None, false, false, ' ');
    for char in text.chars() {
        match (quote, char) {
            (_, '\n') if comment => comment = false,
            _ if comment => {}
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '#') if before.is_whitespace() => comment = true,
            (None, '\'' | '"') => quote = Some(char),
            (Some(open), _) if open == char => quote = None,
            _ => {}
        }
        before = char;
    }
    quote.is_none() && !escaped && !text.trim_end().ends_with(['|', '&'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const README: &str = "\
# Shop
## Before
```sh
no one
```
## In containers, with compose
Words.
```sh
# how to begin
docker compose up --detach     # a minute
docker compose exec kafka \\
  list | head

echo 'two
lines'
```
```json
{}
```
| door | where |
| order-svc | <http://localhost:8080> |
### Looking
```sh
docker compose down  # doesn't forget
```
## After
```sh
nor this
```
";

    #[test]
    fn a_sections_commands_are_taken_as_they_are_written_with_their_lines() {
        let section = Section::of(README, "## In containers").unwrap();
        let commands = section.commands().unwrap();
        let texts: Vec<_> = commands.iter().map(|command| (command.line, command.text.as_str())).collect();
        assert_eq!(
            texts,
            [
                (10, "docker compose up --detach     # a minute"),
                (11, "docker compose exec kafka \\\n  list | head"),
                (14, "echo 'two\nlines'"),
                (24, "docker compose down  # doesn't forget"),
            ]
        );
        assert_eq!(section.rows.len(), 2);
        assert_eq!(commands[0].words(), ["docker", "compose", "up", "--detach"]);
    }

    #[test]
    fn a_section_that_is_not_there_is_no_empty_one() {
        assert_eq!(Section::of(README, "## In space"), None);
    }

    #[test]
    fn a_command_that_never_ends_is_told_with_its_line() {
        let section = Section::of("## In containers\n```sh\necho 'a\n```\n", "## In containers").unwrap();
        assert!(section.commands().unwrap_err().to_string().contains("line 3"));
    }
}
