//! Where in a document something is: JSON pointers (RFC 6901) from the paths of the readers.

use serde_path_to_error::{Path, Segment};

/// One step of a pointer, escaped.
fn step(text: &str) -> String {
    text.replace('~', "~0").replace('/', "~1")
}

/// A pointer to a key of the document, and on from there along a reader's path.
pub(crate) fn pointer(key: &str, path: &Path) -> String {
    let mut text = if key.is_empty() { String::new() } else { format!("/{}", step(key)) };
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("/{index}")),
            Segment::Map { key } => text.push_str(&format!("/{}", step(key))),
            // The variant of an enum is no place of its own, and an unknown one says nothing.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    text
}

/// A pointer from a dotted place such as `contact_rules.CO.tighten[0].hours`.
pub(crate) fn of_dotted(place: &str) -> String {
    let steps = place.split(['.', '[']).map(|s| s.trim_end_matches(']')).filter(|s| !s.is_empty());
    steps.map(|s| format!("/{}", step(s))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_places_become_pointers() {
        assert_eq!(
            of_dotted("contact_rules.CO.tighten[0].hours.mon[1]"),
            "/contact_rules/CO/tighten/0/hours/mon/1"
        );
        assert_eq!(of_dotted("a/b~c"), "/a~1b~0c");
        assert_eq!(of_dotted(""), "");
    }
}
