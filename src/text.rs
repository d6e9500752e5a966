//! Text from files and callers made harmless, on its way to people and to compilers: characters that hide, move or turn what is
//! shown are written out.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// Text of several lines without what would move a terminal's cursor, change its colours or turn its direction: names in files may hold any
/// character. Each such character is written as `\u{1b}`; lines and tabs stay, so names in it pass through [`printable_name`] first.
///
/// Everything that this crate says passes through here: errors, summaries, pages, and what the program prints.
///
/// ```
/// assert_eq!(wgpu_conv::printable("conv\u{1b}[2J"), "conv\\u{1b}[2J");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |c| !matches!(c, '\n' | '\t') && is_hidden(c))
}

/// A name, or other text from a file, as one line: [`printable`], and ends of lines and tabs are written out as well, so that a
/// name cannot look like a line that somebody else has written.
///
/// ```
/// assert_eq!(wgpu_conv::printable_name("conv\nAll is well."), "conv\\u{a}All is well.");
/// ```
pub fn printable_name(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden)
}

/// The same text for the life of the process, one copy of all that are equal: for the code that callers give, of which what is compiled
/// is kept as well.
pub(crate) fn kept(text: &str) -> &'static str {
    static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = kept.get(text) {
        return known;
    }
    let text: &'static str = Box::leak(text.into());
    kept.insert(text);
    text
}

fn escaped(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&hidden) {
        return text.into();
    }
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) {
            let _ = write!(clean, "{}", c.escape_unicode());
        } else {
            clean.push(c);
        }
    }
    clean.into()
}

/// Whether a character is none that is seen where it stands: controls, those that turn the direction of text or have no width,
/// separators of lines and paragraphs, and tags.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_shown() {
        assert_eq!(printable("Größe 卷积 🙂\n\tä"), "Größe 卷积 🙂\n\tä");
        assert_eq!(printable_name("a\nb"), "a\\u{a}b");
        for hidden in ["\u{1b}", "\u{7f}", "\u{9b}", "\u{202e}", "\u{2066}", "\u{200b}", "\u{feff}", "\r", "\u{8}"] {
            let text = format!("a{hidden}b");
            assert!(!printable(&text).contains(hidden), "{hidden:?}");
        }
    }
}
