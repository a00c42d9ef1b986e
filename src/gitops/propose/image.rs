//! Image references.

/// `registry/name:tag@digest`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) name: String,
    pub(super) tag: Option<String>,
    pub(super) digest: Option<String>,
}

impl Image {
    pub(super) fn parse(reference: &str) -> Self {
        let (named, digest) = match reference.split_once('@') {
            Some((named, digest)) => (named, Some(digest.to_owned())),
            None => (reference, None),
        };
        let slash = named.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match named[slash..].find(':') {
            Some(at) => (&named[..slash + at], Some(named[slash + at + 1..].to_owned())),
            None => (named, None),
        };
        Self { name: name.to_owned(), tag, digest }
    }

    /// What an operator asked for: a whole reference, or `:tag`, which keeps the name and drops a digest.
    pub(super) fn asked(asked: &str, current: &str) -> Result<String, String> {
        let legal = |c: char| c.is_ascii_alphanumeric() || "._-/:@+".contains(c);
        let wrong =
            || format!("'{asked}' is not an image; write name:tag, name@sha256:..., or :tag");
        if !asked.chars().all(legal) {
            return Err(wrong());
        }
        let reference = match asked.strip_prefix(':') {
            Some(tag) => format!("{}:{tag}", Self::parse(current).name),
            None => asked.to_owned(),
        };
        let image = Self::parse(&reference);
        let tag = image.tag.as_deref().is_none_or(|tag| {
            !tag.is_empty()
                && tag.len() <= 128
                && !tag.starts_with(['.', '-'])
                && !tag.contains(['/', ':', '+'])
        });
        let digest = image
            .digest
            .as_deref()
            .is_none_or(|digest| digest.split_once(':').is_some_and(|(_, hex)| hex.len() >= 6));
        let name = image.name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && !image.name.ends_with('/');
        if tag && digest && name { Ok(reference) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_becomes_a_reference() {
        let table = [
            (":1.2", "reg:5000/a/b:1.1@sha256:abc", Some("reg:5000/a/b:1.2")),
            ("reg:5000/a/c:2", "x:1", Some("reg:5000/a/c:2")),
            ("a@sha256:0123456789", "x:1", Some("a@sha256:0123456789")),
            ("nginx", "x:1", Some("nginx")),
            (":", "x:1", None),
            (":1.2 && rm", "x:1", None),
            ("", "x:1", None),
            (":-x", "x:1", None),
            ("a:b:c", "x:1", None),
        ];
        for (asked, current, expected) in table {
            assert_eq!(Image::asked(asked, current).ok().as_deref(), expected, "{asked}");
        }
    }
}
